using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;

namespace Hone.Formats.Tokenizers;

/// <summary>
/// A run of tokens <c>&lt;0xXX&gt;</c> is the text of its bytes, or U+FFFD for each of them where the run is no UTF-8. As a stream it gives each
/// character once it is complete, which a later invalid byte of the run cannot take back.
/// </summary>
internal sealed class ByteFallbackStep(bool whole) : DecoderStep
{
    private readonly List<byte> _run = [];
    private int _given;
    private bool _broken;

    public override void Take(string text)
    {
        if (ByteOf(text) is not { } value)
        {
            EndRun();
            Give(text);
            return;
        }
        _run.Add(value);
        if (whole)
            return;
        Span<byte> run = CollectionsMarshal.AsSpan(_run);
        int complete = run.Length - IncompleteAtEnd(run);
        // All that has been given is valid.
        _broken = _broken || !Utf8.IsValid(run[_given..complete]);
        if (_broken)
            complete = run.Length;
        if (complete == _given)
            return;
        Give(_broken ? new string('\ufffd', complete - _given) : Encoding.UTF8.GetString(run[_given..complete]));
        _given = complete;
    }

    public override void End()
    {
        EndRun();
        base.End();
    }

    private void EndRun()
    {
        Span<byte> run = CollectionsMarshal.AsSpan(_run)[_given..];
        if (run.Length > 0)
            Give(!_broken && Utf8.IsValid(run) ? Encoding.UTF8.GetString(run) : new string('\ufffd', run.Length));
        _run.Clear();
        (_given, _broken) = (0, false);
    }

    /// <summary>The byte that a token's text stands for; null where it stands for itself.</summary>
    public static byte? ByteOf(string text) =>
        text.Length == 6 && text.StartsWith("<0x", StringComparison.Ordinal) && text[5] == '>' && byte.TryParse(text.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value)
            ? value : null;

    /// <summary>How many bytes at the end are the beginning of a character that later ones can still complete: 0 to 3.</summary>
    private static int IncompleteAtEnd(ReadOnlySpan<byte> bytes)
    {
        for (int n = 1; n <= Math.Min(3, bytes.Length); n++)
        {
            ReadOnlySpan<byte> tail = bytes[^n..];
            if (tail[0] is >= 0xC2 and <= 0xF4)
            {
                int length = tail[0] < 0xE0 ? 2 : tail[0] < 0xF0 ? 3 : 4;
                (int low, int high) = tail[0] switch { 0xE0 => (0xA0, 0xBF), 0xED => (0x80, 0x9F), 0xF0 => (0x90, 0xBF), 0xF4 => (0x80, 0x8F), _ => (0x80, 0xBF) };
                return n < length && (n == 1 || (tail[1] >= low && tail[1] <= high)) ? n : 0;
            }
            if (tail[0] is < 0x80 or > 0xBF)
                return 0;
        }
        return 0;
    }
}
