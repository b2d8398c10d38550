"""Result files that are not what they should be: short, or another batch's."""

import json

from starlette.responses import Response, StreamingResponse

from batch_assets_local.batch_server.fault_rules import LinesEffect


async def with_other_lines(response: Response, effect: LinesEffect) -> Response:
    """A download as the effect has it; a refusal stays one."""
    if not isinstance(response, StreamingResponse):
        return response
    blocks = [block async for block in response.body_iterator]
    whole = b"".join(block.encode() if isinstance(block, str) else block for block in blocks)
    lines = whole.splitlines(keepends=True)
    kept = lines[: effect.lines] if effect.kind == "first_lines" else map(_of_another, lines)
    return Response(b"".join(kept), media_type=response.media_type)


def _of_another(line: bytes) -> bytes:
    """The same with another custom_id; a line that is no JSON stays as it is."""
    try:
        result = json.loads(line)
    except ValueError:
        return line
    result["custom_id"] = f"other-{result['custom_id']}"
    return json.dumps(result).encode() + b"\n"
