"""When an alert is raised, why, and what to do about it. Pure: metrics in, verdicts out.

`rates` and `conditions` measure, `rules` compares with the limits and with what was raised before,
`advice` says what a person does. Nothing here holds the text of a conversation.
"""
