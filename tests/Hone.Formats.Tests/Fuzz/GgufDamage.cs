using System.Buffers.Binary;

namespace Hone.Formats.Tests.Fuzz;

/// <summary>Damage to a GGUF file that knows where its counts, lengths, types and offsets stand and where its entries begin.</summary>
internal sealed class GgufDamage
{
    private readonly byte[] _good;
    private readonly List<(int At, int Size)> _numbers = [];
    private readonly List<(int Start, int End)> _keys = [];
    private readonly List<(int Start, int End)> _tensors = [];
    private int _at;

    public GgufDamage(byte[] good)
    {
        _good = good;
        _numbers.AddRange([(4, 4), (8, 8), (16, 8)]);
        (int tensors, int keys) = ((int)Number(8), (int)Number(16));
        _at = 24;
        for (int i = 0; i < keys; i++)
        {
            int start = _at;
            SkipText();
            SkipValue(Take(4));
            _keys.Add((start, _at));
        }
        for (int i = 0; i < tensors; i++)
        {
            int start = _at;
            SkipText();
            for (int dimensions = Take(4); dimensions > 0; dimensions--)
                Take(8);
            Take(4);
            Take(8);
            _tensors.Add((start, _at));
        }
    }

    /// <summary>What the head takes.</summary>
    public int HeadBytes => _tensors[^1].End;

    public byte[] Damage(Random random)
    {
        byte[] bytes = _good;
        switch (random.Next(4))
        {
            case 0:
                return ByteDamage.Damage(_good, HeadBytes, random);
            case 1:
                bytes = Exchanged(random);
                break;
            default:
                bytes = [.. bytes];
                break;
        }
        // Where entries have been exchanged, most numbers stand elsewhere: then this hits anything.
        for (int count = random.Next(bytes.Length == _good.Length ? 1 : 0, 4); count > 0; count--)
        {
            (int at, int size) = _numbers[random.Next(_numbers.Count)];
            ulong value = ByteDamage.Extreme(random, bytes.Length);
            if (at + size > bytes.Length)
                continue;
            if (size == 4)
                BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), random.Next(2) == 0 ? (uint)random.Next(40) : (uint)value);
            else
                BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), value);
        }
        return bytes;
    }

    /// <summary>Two entries in each other's place, one twice, or the two lists.</summary>
    private byte[] Exchanged(Random random)
    {
        var entries = _keys.Concat(_tensors).ToList();
        (int Start, int End) one = entries[random.Next(entries.Count)], other = entries[random.Next(entries.Count)];
        switch (random.Next(3))
        {
            case 0:
                one = (_keys[0].Start, _keys[^1].End);
                other = (_tensors[0].Start, _tensors[^1].End);
                break;
            case 1:
                return [.. _good[..one.End], .. _good[other.Start..other.End], .. _good[one.End..]];
        }
        if (one.Start > other.Start)
            (one, other) = (other, one);
        return one == other ? [.. _good] : [.. _good[..one.Start], .. _good[other.Start..other.End], .. _good[one.End..other.Start], .. _good[one.Start..one.End], .. _good[other.End..]];
    }

    private void SkipText()
    {
        int length = Take(8);
        _at += length;
    }

    private void SkipValue(int type)
    {
        switch (type)
        {
            case 8:
                SkipText();
                break;
            case 9:
                int element = Take(4);
                for (int count = Take(8); count > 0; count--)
                {
                    if (element is 8 or 9)
                        SkipValue(element);
                    else
                        _at += SizeOf(element);
                }
                break;
            default:
                Take(SizeOf(type));
                break;
        }
    }

    private static int SizeOf(int type) => type switch { 0 or 1 or 7 => 1, 2 or 3 => 2, 4 or 5 or 6 => 4, _ => 8 };

    private ulong Number(int at) => BinaryPrimitives.ReadUInt64LittleEndian(_good.AsSpan(at));

    private int Take(int size)
    {
        if (size >= 4)
            _numbers.Add((_at, size));
        int value = size switch { 8 => (int)Number(_at), 4 => BinaryPrimitives.ReadInt32LittleEndian(_good.AsSpan(_at)), _ => 0 };
        _at += size;
        return value;
    }
}
