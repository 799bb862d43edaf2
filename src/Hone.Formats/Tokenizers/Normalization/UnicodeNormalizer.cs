using System.Runtime.InteropServices;

namespace Hone.Formats.Tokenizers;

/// <summary>NFC, NFD, NFKC and NFKD.</summary>
internal enum UnicodeForm { Composed, Decomposed, CompatiblyComposed, CompatiblyDecomposed }

/// <summary>A normalization form of Unicode (unicode.org/reports/tr15), of version 9.0 as in the tokenizers library: later characters stay as they are.</summary>
internal sealed class UnicodeNormalizer(UnicodeForm form) : Normalizer
{
    private readonly bool _compatible = form is UnicodeForm.CompatiblyComposed or UnicodeForm.CompatiblyDecomposed;
    private readonly bool _composes = form is UnicodeForm.Composed or UnicodeForm.CompatiblyComposed;

    public override AlignedText Normalize(in AlignedText text)
    {
        char firstChanged = form switch { UnicodeForm.Composed => '\u0300', UnicodeForm.Decomposed => '\u00c0', _ => '\u00a0' };
        int changes = text.Text.IndexOfAnyInRange(firstChanged, '\uffff');
        if (changes < 0)
            return text;
        UnicodeTables tables = UnicodeTables.Shared;
        List<Part> parts = Decompose(text, tables);
        Reorder(CollectionsMarshal.AsSpan(parts));
        if (_composes)
            Compose(parts, tables);
        var builder = new AlignedTextBuilder(text.Length + 8);
        foreach (Part part in parts)
            builder.Append(part.CodePoint, part.Range);
        AlignedText result = builder.Build();
        return result.Text.SequenceEqual(text.Text) ? text : result;
    }

    private List<Part> Decompose(in AlignedText text, UnicodeTables tables)
    {
        var parts = new List<Part>(text.Length + 8);
        List<int> decomposed = [];
        ReadOnlySpan<char> units = text.Text;
        for (int at = 0, length; at < units.Length; at += length)
        {
            int codePoint = CodePoints.RuneAt(units, at, out length).Value;
            TextRange range = text.RangeOf(at, at + length);
            decomposed.Clear();
            tables.Decompose(codePoint, _compatible, decomposed);
            foreach (int part in decomposed)
                parts.Add(new Part(part, tables.ClassOf(part), range));
        }
        return parts;
    }

    /// <summary>Puts the marks between two starters in the order of their classes; those of one class keep theirs. Marks that move share one range.</summary>
    private static void Reorder(Span<Part> parts)
    {
        for (int start = 0; start < parts.Length; start++)
        {
            if (parts[start].Class == 0)
                continue;
            int end = start + 1;
            bool ordered = true;
            for (; end < parts.Length && parts[end].Class != 0; end++)
                ordered &= parts[end - 1].Class <= parts[end].Class;
            if (!ordered)
                Sort(parts[start..end]);
            start = end;
        }
    }

    private static void Sort(Span<Part> marks)
    {
        var range = new TextRange(marks[0].Range.Start, marks[^1].Range.End);
        marks.ToArray().OrderBy(mark => mark.Class).Select(mark => mark with { Range = range }).ToArray().CopyTo(marks);
    }

    private static void Compose(List<Part> parts, UnicodeTables tables)
    {
        int count = 0;
        int starter = -1;
        Span<Part> span = CollectionsMarshal.AsSpan(parts);
        foreach (Part part in span)
        {
            // Blocked: a mark between has the same class or none.
            bool blocked = starter < 0 || (starter != count - 1 && span[count - 1].Class >= part.Class);
            int composed = blocked ? -1 : tables.Compose(span[starter].CodePoint, part.CodePoint);
            if (composed >= 0)
            {
                TextRange range = span[starter].Range;
                span[starter] = new Part(composed, 0, new TextRange(Math.Min(range.Start, part.Range.Start), Math.Max(range.End, part.Range.End)));
                continue;
            }
            if (part.Class == 0)
                starter = count;
            span[count++] = part;
        }
        parts.RemoveRange(count, parts.Count - count);
    }

    private readonly record struct Part(int CodePoint, int Class, TextRange Range);
}
