using System.Buffers;

namespace Hone.Formats.TrainingData;

/// <param name="Number">From 1.</param>
/// <param name="Offset">Of the line's first byte in the file (after a byte order mark at its start).</param>
/// <param name="Bytes">Without the line end; valid until the next line is read. Empty when <paramref name="TooLong"/>.</param>
internal readonly record struct RowLine(int Number, long Offset, ReadOnlyMemory<byte> Bytes, bool TooLong);

/// <summary>Lines of a file that ends them with LF or CRLF, in memory of one line and one block.</summary>
internal sealed class LineReader(Stream stream, int maxLineBytes = LineReader.DefaultMaxLineBytes) : IDisposable
{
    /// <summary>At least as many tokens as any base model reads. Read, rendered and tokenized, a row takes up to ninety times its length in memory.</summary>
    public const int DefaultMaxLineBytes = 8 << 20;

    private static readonly byte[] s_byteOrderMark = [0xEF, 0xBB, 0xBF];

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(1 << 18);
    private int _start, _end, _number;
    private long _bufferOffset;
    private bool _ended;

    public static LineReader Open(string path, int maxLineBytes = DefaultMaxLineBytes)
        => new(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 0, FileOptions.SequentialScan), maxLineBytes);

    public bool TryRead(out RowLine line)
    {
        int scanned = 0;
        bool tooLong = false;
        long lineOffset = _bufferOffset + _start;
        while (true)
        {
            int found = _buffer.AsSpan(_start + scanned, _end - _start - scanned).IndexOf((byte)'\n');
            if (found >= 0)
            {
                line = Take(lineOffset, scanned + found, tooLong || scanned + found > maxLineBytes);
                _start += scanned + found + 1;
                return true;
            }
            scanned = _end - _start;
            if (scanned > maxLineBytes)
            {
                tooLong = true;
                _start = _end;
                scanned = 0;
            }
            if (_ended)
            {
                line = Take(lineOffset, scanned, tooLong);
                _start = _end;
                return tooLong || scanned > 0;
            }
            Fill();
        }
    }

    private RowLine Take(long offset, int length, bool tooLong)
    {
        int start = _start;
        if (++_number == 1 && !tooLong && _buffer.AsSpan(start, length).StartsWith(s_byteOrderMark))
            (start, length, offset) = (start + 3, length - 3, offset + 3);
        if (length > 0 && _buffer[start + length - 1] == '\r')
            length--;
        return new(_number, offset, tooLong ? default : _buffer.AsMemory(start, length), tooLong);
    }

    private void Fill()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _bufferOffset += _start;
            (_start, _end) = (0, _end - _start);
        }
        if (_end == _buffer.Length)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent(_buffer.Length * 2);
            _buffer.AsSpan(0, _end).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = larger;
        }
        int read = stream.Read(_buffer, _end, _buffer.Length - _end);
        _ended = read == 0;
        _end += read;
    }

    public void Dispose()
    {
        stream.Dispose();
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }
}
