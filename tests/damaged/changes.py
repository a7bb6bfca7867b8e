"""How the bytes of a file are damaged."""


def changed(content, random, head=4000):
    """Some bytes changed, most of them near the beginning, where sizes and places stand; or a part is missing."""
    found = bytearray(content)
    if random.random() < 0.1 or not found:
        return bytes(found[: random.randrange(len(found) + 1)])
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(found) if random.random() < 0.5 else min(head, len(found)))
        found[place] = random.choice((0, 255, found[place] ^ 1 << random.randrange(8), random.randrange(256)))
    return bytes(found)
