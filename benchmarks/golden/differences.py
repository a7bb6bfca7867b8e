"""How two sets of golden runs differ, in words."""

from collections.abc import Mapping

Entries = Mapping[str, str]


def differences(before: Mapping[str, Entries], now: Mapping[str, Entries]) -> list[str]:
    """A headline for each run that differs, and below it a line for every entry that does."""
    lines = []
    for name in sorted(before.keys() | now.keys()):
        if name not in now or name not in before:
            lines.append(f"{name}: {'no such run now' if name in before else 'no such run before'}")
        elif found := _of_run(before[name], now[name]):
            alike = sum(before[name].get(key) == word for key, word in now[name].items())
            lines += [
                f"{name}: {len(found)} differences, {alike} entries are the same",
                *(f"  {line}" for line in found),
            ]
    return lines


def _of_run(before: Entries, now: Entries) -> list[str]:
    gone, new = before.keys() - now.keys(), now.keys() - before.keys()
    moved = _moved({key: before[key] for key in gone}, {key: now[key] for key in new})
    lines = [
        f"{key}: {before[key]} before, {now[key]} now" for key in before if now.get(key, before[key]) != before[key]
    ]
    lines += [f"{key}: the same bits are now {place}" for key, place in moved.items()]
    lines += [f"{key}: {before[key]} before, not there now" for key in gone - moved.keys()]
    lines += [f"{key}: not there before, {now[key]} now" for key in new - set(moved.values())]
    return sorted(lines)


def _moved(gone: Entries, new: Entries) -> dict[str, str]:
    """Entries under other names: those whose word is that of one entry alone, on either side."""
    before, now = _owners(gone), _owners(new)
    return {before[word]: now[word] for word in before.keys() & now.keys()}


def _owners(entries: Entries) -> dict[str, str]:
    words = list(entries.values())
    return {word: key for key, word in entries.items() if words.count(word) == 1}
