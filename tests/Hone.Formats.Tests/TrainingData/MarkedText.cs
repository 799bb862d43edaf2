using System.Text;
using Hone.Formats.Tokenizers;
using Hone.Formats.TrainingData;

namespace Hone.Formats.Tests.TrainingData;

/// <summary>A row's text with what is learnt in ⟦brackets⟧.</summary>
internal static class MarkedText
{
    public static string Of(EncodedRow row, Tokenizer tokenizer)
    {
        var text = new StringBuilder();
        for (int start = 0, end; start < row.Tokens.Length; start = end)
        {
            for (end = start + 1; end < row.Tokens.Length && row.Trained[end] == row.Trained[start]; end++)
            {
            }
            string part = tokenizer.Decode(row.Tokens.AsSpan(start..end));
            text.Append(row.Trained[start] ? "⟦" + part + "⟧" : part);
        }
        return text.ToString();
    }

    public static string With(string plain, IEnumerable<(int Start, int End)> spans)
        => spans.Reverse().Aggregate(plain, (text, span) => text.Insert(span.End, "⟧").Insert(span.Start, "⟦"));

    public static string Plain(string marked) => marked.Replace("⟦", "", StringComparison.Ordinal).Replace("⟧", "", StringComparison.Ordinal);

    /// <summary>Places of the learnt characters in the plain text.</summary>
    public static HashSet<int> Learnt(string marked)
    {
        var places = new HashSet<int>();
        bool inside = false;
        int place = 0;
        foreach (char c in marked)
        {
            if (c is '⟦' or '⟧')
                inside = c == '⟦';
            else if (inside)
                places.Add(place++);
            else
                place++;
        }
        return places;
    }
}
