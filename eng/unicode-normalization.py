"""Writes src/Hone.Formats/Tokenizers/Normalization/unicode-9.0.txt, the tables of the Unicode normalization forms.

Runs on Python 3.6, whose unicodedata is of Unicode 9.0.0: the version that the normalizers of the tokenizers library follow.
"""

import sys
import unicodedata

assert unicodedata.unidata_version == "9.0.0"
HANGUL = range(0xAC00, 0xD7A4)


def hexadecimal(values):
    return " ".join("%X" % value for value in values)


with open(sys.argv[1], "w") as out:
    out.write("# Unicode 9.0. FIRST-LAST:CLASS is a canonical combining class. A=B C is a canonical decomposition, with + one that is composed again;\n")
    out.write("# A~B C a compatibility decomposition. Each is one step; those of Hangul syllables are computed.\n")
    runs = []
    for value in range(0x110000):
        combining = unicodedata.combining(chr(value))
        if combining and runs and runs[-1][1:] == [value - 1, combining]:
            runs[-1][1] = value
        elif combining:
            runs.append([value, value, combining])
    for first, last, combining in runs:
        out.write("%X-%X:%d\n" % (first, last, combining))
    for value in range(0x110000):
        decomposition = unicodedata.decomposition(chr(value)).split()
        if not decomposition or value in HANGUL:
            continue
        compatible = decomposition[0].startswith("<")
        parts = [int(part, 16) for part in decomposition[compatible:]]
        composed = not compatible and len(parts) == 2 and unicodedata.normalize("NFC", "".join(map(chr, parts))) == chr(value)
        out.write("%X%s%s\n" % (value, "~" if compatible else "=+"[: 1 + composed], hexadecimal(parts)))
