namespace Hone.Formats.Tokenizers;

/// <summary>What becomes of the matches of a <see cref="SplitPreTokenizer"/>'s pattern.</summary>
internal enum SplitBehavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous }

/// <summary>Splits where a pattern matches. Inverted, what lies between the matches counts as the matches.</summary>
internal sealed class SplitPreTokenizer(TextPattern pattern, SplitBehavior behavior, bool invert = false) : PreTokenizer
{
    public override void Split(in AlignedText part, PieceSink next)
    {
        ReadOnlySpan<char> text = part.Text;
        var pieces = new Pieces(part, behavior, next);
        PatternSearch search = pattern.Start(text);
        int at = 0;
        while (search.Next(text, out int start, out int end))
        {
            if (at != start)
                pieces.Add(at, start, invert);
            pieces.Add(start, end, !invert);
            at = end;
        }
        if (at != text.Length)
            pieces.Add(at, text.Length, invert);
        pieces.Finish();
    }

    /// <summary>Matches and what lies between them, put together as the behavior demands; at most one is held back.</summary>
    private ref struct Pieces(AlignedText part, SplitBehavior behavior, PieceSink next)
    {
        private readonly AlignedText _part = part;
        private int _start;
        private int _end;
        private bool _held;
        private bool _heldMatch;
        private bool _previousMatch;

        public void Add(int start, int end, bool match)
        {
            bool joins = false;
            switch (behavior)
            {
                case SplitBehavior.Removed when match:
                    return;
                case SplitBehavior.Removed or SplitBehavior.Isolated:
                    next.Add(_part[start..end]);
                    return;
                case SplitBehavior.MergedWithPrevious:
                    joins = match && !_previousMatch;
                    break;
                case SplitBehavior.MergedWithNext:
                    joins = !match && _heldMatch;
                    break;
                case SplitBehavior.Contiguous:
                    joins = match == _previousMatch;
                    break;
            }
            _previousMatch = match;
            if (joins && _held)
            {
                _end = end;
                _heldMatch = false;
                return;
            }
            Finish();
            (_held, _heldMatch, _start, _end) = (true, match, start, end);
        }

        public void Finish()
        {
            if (_held)
                next.Add(_part[_start.._end]);
            _held = false;
        }
    }
}
