"""How what an op says of a check is said by the check itself, where that is executed alone."""

import dagster as dg


def result_of(said: dg.AssetCheckEvaluation) -> dg.AssetCheckResult:
    """The same as a check's result."""
    return dg.AssetCheckResult(
        asset_key=said.asset_key,
        check_name=said.check_name,
        passed=said.passed,
        severity=said.severity,
        description=said.description,
        metadata=said.metadata,
    )
