"""The words by which a text shows that it verifies, backtracks, explores or sets subgoals.

A cue is a pattern with a stem, some letters that every text which fits it holds: a text without the stem is never
searched. Patterns meet lower-case text with one sentence a line (`structure.Passage`), so that `^` is the start of a
sentence. Most ask who speaks or what of, because the words alone are those of story problems as well: people wait,
write a check, are wrong about a question, and have no money.
"""

import re
from typing import NamedTuple

from effreason.behaviour.kinds import Kind


class Cue(NamedTuple):
    """A pattern of words that marks a behaviour."""

    stem: str
    pattern: re.Pattern[str]


def _cues(*patterns: tuple[str, str]) -> tuple[Cue, ...]:
    return tuple(Cue(stem, re.compile(pattern, re.MULTILINE)) for stem, pattern in patterns)


_SPEAKER = (
    r"\b(?:let me|let's|let us|i'll|i will|i should|i must|i need to|we should|we must|we need to|we'll|i'd better)"
)
_WORK = (
    r"(?:answer|answers|result|results|work|working|solution|calculations?|computations?|math|arithmetic|sums?|steps?"
    r"|units|equations?|numbers|first|second|last|this|that|it|whether|if|each|everything|again)"
)
_CLAIM = r"\b(?:that|this|it|i|we|assumption|answer|result|equation|approach|calculation|guess)"
_SEEK = (
    r"(?:find|determine|calculate|compute|know|show|prove|consider|identify|figure|work out|count|get|solve|express"
    r"|establish|understand|convert|list|write down|set up|compare|isolate|simplify)"
)
_ADD = r"(?:add|subtract|multiply|divide)"

VERIFICATION = _cues(
    ("check", r"\bdouble[- ]?check(?:s|ed|ing)?\b"),
    (
        "check",
        rf"\bre-?check|\bcheck(?:ing)?(?: out)?(?: on)?(?: to see)? (?:(?:my|our|your|the|of) )*(?:\w+ )?{_WORK}\b",
    ),
    (
        "check",
        rf"{_SPEAKER} (?:just |also |now |quickly )*check\b|\b(?:sanity|quick|final|as a) check\b|\bchecks out\b",
    ),
    ("check", r"^\W*check(?:ing)?\s*[:,]|\bcheck(?: again)?:|^checking\b"),
    ("verif", r"\b(?:re-?)?verify(?:ing)?\b|^\W*verification\b|\b(?:i|we)(?:'ve| have)? verified\b|^verified\b"),
    ("confirm", r"\b(?:to|can|let me|let's|let us|i'll|then|and|must|should) confirm\b|^confirm(?:ing|ed)?\b"),
    ("validat", r"\b(?:to|can|let me|let's|i'll) validate\b|^validating\b"),
    ("sense", r"\b(?:does|would) (?:this|that|it|the answer) make sense\b"),
    ("is ", r"\bis (?:this|that|it) (?:really |even )?(?:right|correct|so|true|accurate|reasonable|possible)\s*\?"),
    ("sure", r"\b(?:make|be) sure (?:that )?(?:this|that|it|my|our|i|we|the (?:answer|result|solution|numbers))\b"),
    ("plug", r"\bplug(?:ging|ged)?\b[^\n]{0,40}?\bback\b|\bplug(?:ging)?(?: \w+)? in\b\s*[:,]"),
    ("plug", r"\bplug(?:ging)?\b[^\n]{0,50}?\b(?:original|given)\b"),
    ("substitut", r"\bsubstitut(?:e|ing)\b[^\n]{0,50}?\b(?:original|given|back)\b|\bby substitution\b"),
    ("re", r"\b(?:re-?(?:comput|calculat|count|read|examin|evaluat)(?:e|ing)?)\b(?! the same)"),
    ("again", rf"{_SPEAKER} (?:\w+ ){{1,4}}again\b"),
    ("matches", r"\bmatches the (?:given|original|expected|stated)\b"),
    ("see if", r"\bsee if (?:this|that|it) (?:works|holds|fits|agrees|is)\b"),
    ("test", r"\btest(?:ing)? (?:this|my|our|the (?:answer|result|solution|formula))\b"),
)
"""Cues that a step or an answer is checked."""

BACKTRACKING = _cues(
    ("no", r"\bwait[,.!]* (?:but )?no\b|\bno,? wait\b|\bactually,? (?:no\b|that|this|it's|i (?:made|mis|was))"),
    ("no", r"(?:^|[.:;,] )(?:hmm,? |oh,? )?no[,.] (?:redo|that|this|it|i|so|sorry|the|we|method)\b"),
    ("redo", r"\bredo\b:|\b(?:to|me|let's|must|should|i'll|no,) redo\b"),
    ("wrong", rf"{_CLAIM}(?:'s| is| was| were| must be)? (?:clearly |also |just )?wrong\b(?! about)|^\W*wrong\b"),
    ("incorrect", rf"{_CLAIM}(?:'s| is| was| were| must be)? (?:clearly |also )?incorrect\b"),
    (" off", r"\b(?:equation|answer|result|count|calculation|sum|total)(?:'s| is| was) off\b"),
    ("not", rf"{_CLAIM}(?:'s| is| was) not (?:quite |actually |the )?(?:right|correct|true)\b"),
    ("'t ", rf"{_CLAIM} (?:isn't|wasn't|can't be|doesn't seem) (?:quite |actually )?(?:right|correct|true)\b"),
    (
        "not",
        rf"{_CLAIM} (?:cannot|can not) be (?:right|correct|true)\b"
        r"|\bis not the (?:correct|right) (?:answer|method|way)",
    ),
    (
        "mistake",
        r"\b(?:i|we|you)(?:'ve| have)? made (?:a|an|some) (?:\w+ )?mistakes?\b|\b(?:is|was) a mistake\b|\bmy mistake\b",
    ),
    ("error", r"\b(?:i|we|you)(?:'ve| have)? made (?:a|an|some) (?:\w+ )?errors?\b|\b(?:is|was) an error\b"),
    ("mis", r"\b(?:i|we) (?:have )?(?:misread|miscounted|miscalculated|misunderstood|misremembered|missed)\b"),
    (
        "i ",
        r"\bi (?:forgot|overlooked|dropped|mixed (?:up|them)|messed up|counted (?:\w+ ){1,4}twice|double[- ]counted)\b",
    ),
    ("we ", r"\bwe (?:forgot|overlooked|dropped|mixed up|actually double[- ]counted|double[- ]counted)\b"),
    ("oops", r"\bw?h?oops\b"),
    ("that", r"\b(?:scratch|scrap|strike|abandon|forget|ignore) (?:that|this)\b"),
    ("sorry", r"^(?:oh,? )?sorry,|\bno, sorry\b"),
    ("hold on", r"^(?:but |hmm,? )?hold on\b(?! to| the)"),
    (
        "correct",
        r"\b(?:let me|let's|i'll) (?:correct|fix) (?:that|this|it|my)\b|^correction\b"
        r"|\bcorrected (?:answer|version|paragraph|sum)",
    ),
    ("over", rf"{_SPEAKER} (?:start|begin) (?:all )?over\b|^starting over\b"),
    ("scratch", rf"{_SPEAKER} (?:start|begin|try) (?:again )?from scratch\b"),
    ("start", rf"{_SPEAKER} (?:start|begin) (?:again|afresh|anew)\b"),
    (
        "back",
        rf"(?:{_SPEAKER}|\bso|\bthen|^i) (?:go|step) back\b|\bgoing back (?:to (?:the|my|step|line)|and)\b|\bbacktrack",
    ),
    (
        "work",
        r"\b(?:this|that|it|which|approach|method) (?:doesn't|does not|didn't|won't|will not|isn't going to) work\b",
    ),
    ("fail", r"\b(?:this|that|attempt|approach) (?:also )?fails\b"),
    ("break", r"\b(?:step|argument|proof|approach|method)\b[^\n]{0,40}\bbreaks down\b"),
    ("lead", r"\blead(?:s|ing)? (?:us |me )?(?:in a circle|in circles|nowhere|to a dead end)\b"),
    ("dead end", r"\bdead end\b"),
    ("should", r"\bshould(?:'ve| have) (?:been|used|added|subtracted|multiplied|divided|taken)\b"),
)
"""Cues that a statement is withdrawn."""

EXPLORATION = _cues(
    ("alternatively", r"\balternatively\b"),
    (
        "another",
        r"\b(?:yet )?another (?:approach|way|method|idea|strategy|option|possibility|solution|interpretation)\b",
    ),
    (
        "different",
        r"\b(?:a|to a|in a|with a|try a) different (?:approach|way|method|idea|strategy|angle|interpretation)\b",
    ),
    ("differently", r"\b(?:think|look|do|try|approach|solve)\b[^\n]{0,30}\bdifferently\b"),
    ("alternative", r"\ban? alternative (?:approach|way|method|solution|strategy|interpretation|idea|is)\b"),
    ("er ", r"\ba (?:simpler|quicker|faster|better|neater|easier|smarter) (?:approach|way|method|idea)\b"),
    ("other", r"\bon the other hand\b|\bthe other (?:case|method|approach|possibility)\b"),
    ("instead", rf"(?:{_SPEAKER}|\bperhaps|\bmaybe|\bcould|\bmight|\bwhat if)[^\n]{{0,60}}\binstead\b"),
    ("what if", r"\bwhat if (?:we|i|it|the)\b"),
    ("also", r"\b(?:we|i|you|one) (?:could|might) also\b"),
    ("perhaps", r"\b(?:or|but) perhaps\b|\bperhaps (?:i|we) (?:should|could|can)\b"),
    ("maybe", r"\b(?:or|but) maybe\b|\bmaybe (?:i|we) (?:should|could|can)\b|\bmaybe (?:it|there) (?:could|might)\b"),
)
"""Cues that something else is considered."""

NUMBERED = re.compile(
    r"\b(method|approach|case|option|way|strategy|solution|possibility|scenario)"
    r" (?:#|no\. )?([1-9]|[a-e](?= ?[:.)])|one|two|three|four|i{1,3}(?= ?[:.)]))(?![\w.]*\d)",
)
"""Alternatives with a number; only where one kind of them has two numbers or more."""

SUBGOALS = _cues(
    ("step", r"^\W*(?:\d+[.)] *)?\W*step (?:\d+|one|two|three|four)\b|\bstep[- ]by[- ]step\b"),
    ("break", r"\b(?:break|breaking) (?:\w+ ){0,5}(?:down|into|up)\b"),
    ("first", r"^\W*(?:\d+[.)] *)?(?:so |now |okay,? )?first(?:ly)?, "),
    ("first", r"\b(?:we|i|you)(?:'ll)? (?:\w+ )?first \w+|^first (?:we|i|you|let|find|calculate|determine|compute)\b"),
    ("next", r"^\W*(?:\d+[.)] *)?next,|^next (?:we|i|let|find|calculate|determine|compute)\b"),
    ("finally", r"^\W*(?:\d+[.)] *)?finally, (?:we|i|you|let|find|calculate|determine|compute|add|subtract)\b"),
    ("to ", rf"\b(?:we|i|you)(?:'ll)? (?:\w+ )?(?:need|have|want|like) to (?:\w+ )?(?:{_SEEK}|{_ADD})\b"),
    ("must", rf"\b(?:we|i|you) must (?:first |now )?(?:{_SEEK}|{_ADD})\b"),
    (
        "to ",
        r"^(?:\W|now,? |so,? |in order )*to "
        r"(?:find|determine|calculate|compute|get|figure out|work out|obtain|convert) [^\n]{3,150}?,",
    ),
    ("let", rf"\blet(?:'s| us| me) (?:first |now |then )?{_SEEK}\b|\blet(?:'s| us| me) (?:start|begin) (?:by|with)\b"),
    ("plan", r"\b(?:my|our|the) plan\b|^plan\b|\ba plan\b"),
    ("goal", r"\b(?:my|our|the) (?:first |next )?goal\b"),
    ("suffices", r"\bit suffices to\b"),
    ("enough", r"\bit is enough to (?:show|prove|find)\b"),
    ("before", r"^before (?:we|i|you|finding|computing|calculating)\b"),
    ("in ", r"\bin (?:two|three|four|five) (?:stages|steps|parts)\b"),
    ("steps", r"\b(?:these|the following) steps\b"),
    (
        ". ",
        rf"^\W*\d+[.)]\W+(?:first |then |now )?"
        rf"(?:{_SEEK}|{_ADD}|use|solve|take|check|verify|draw|choose|make|apply|remove|combine)\b",
    ),
)
"""Cues that a goal is named."""

CUES: dict[Kind, tuple[Cue, ...]] = {
    "verification": VERIFICATION,
    "backtracking": BACKTRACKING,
    "exploration": EXPLORATION,
    "subgoals": SUBGOALS,
}
