"""What is said in the benchmark's conversations, and what is answered to them.

`{}` is a number from 1 to 52. Each phrase is 80 to 100 bytes long, as LiveDash's messages are.
"""

from collections.abc import Mapping
from typing import Any, Final

USER: Final = (
    "Good morning, I would like to take a few days off in week {}. How do I ask for that?",
    "My roster for week {} is not in the app yet. When will it be published for our location?",
    "I have been ill since the start of week {} and feel better now. Whom do I have to tell?",
    "On my payslip of week {} the allowance for the late shift is missing. Can you check it?",
    "I worked more hours in week {} than my contract says. Will these be paid or saved up?",
    "I start as a new colleague in week {}. Where can I pick up my clothes and my staff pass?",
    "Since week {} I cannot log in to the portal any more. It says that my account is locked.",
    "I want to end my contract after week {}. How long is my notice, and whom do I write to?",
)
BOT: Final = (
    "You can ask for leave in week {} through the portal, under Leave. Your manager decides.",
    "The roster of week {} is published ten days before. You get a message when it is there.",
    "I am glad that you are better. Please report yourself fit for week {} with your manager.",
    "I have passed your question about week {} on to the payroll desk, they answer tomorrow.",
    "Extra hours of week {} are saved up first. You see the balance in the portal under Hours.",
    "Welcome! In week {} your manager shows you around; clothes are at the desk in the hall.",
    "I have sent you a link to unlock the account. It is valid until the end of week {} only.",
    "Your notice is one month. Send a letter to the HR department before the end of week {}.",
)
SENTIMENTS: Final = ("NEUTRAL", "POSITIVE", "NEGATIVE")
CATEGORIES: Final = (
    "LEAVE_VACATION",
    "SCHEDULE_HOURS",
    "SICK_LEAVE_RECOVERY",
    "SALARY_COMPENSATION",
    "CONTRACT_HOURS",
    "ONBOARDING",
    "ACCESS_LOGIN",
    "OFFBOARDING",
)
_SUMMARY: Final = (
    "The employee asked the chatbot about week {} and described the matter in several messages. "
    "The bot named the place in the portal where it can be settled, said who decides and how long "
    "that usually takes, and offered to pass open points on. The employee was content with that."
)


def analysis(week: int, topic: int) -> Mapping[str, Any]:
    """An analysis of 600 bytes with two questions, of a week (1 to 52) and one of 8 topics."""
    said = 8 * week + topic
    return {
        "language": "en",
        "sentiment": SENTIMENTS[said % len(SENTIMENTS)],
        "escalated": said % 9 == 0,
        "forwarded_hr": said % 5 == 0,
        "category": CATEGORIES[topic],
        "questions": [
            USER[topic].format(week),
            USER[(topic + 3) % len(USER)].format(week),
        ],
        "summary": _SUMMARY.format(week),
    }
