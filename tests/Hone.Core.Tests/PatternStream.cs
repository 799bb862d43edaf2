namespace Hone.Core.Tests;

/// <summary>A stream of any length that takes no memory; may break on the way.</summary>
internal sealed class PatternStream(long length, long failAt = long.MaxValue, byte[]? head = null) : Stream
{
    private long position;

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => position; set => throw new NotSupportedException(); }

    public override int Read(Span<byte> buffer)
    {
        if (position >= failAt)
            throw new EndOfStreamException("The client is gone.");
        int count = (int)Math.Min(buffer.Length, Math.Min(length, failAt) - position);
        for (int i = 0; i < count; i++, position++)
            buffer[i] = head is not null && position < head.Length ? head[position] : (byte)(position * 31 >> 3);
        return count;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => ValueTask.FromResult(Read(buffer.Span));

    public override void Flush() { }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
