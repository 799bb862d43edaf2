using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Hone.Formats.Gguf;

/// <summary>
/// Widens stored values to float32 with the reference's order of operations (gguf-py), so the bits are equal: product and sum are rounded one by one, or the product is exact.
/// This half holds the plain types and the blocks of 32; element i of a block is the low half of byte i, element i + 16 the high half.
/// </summary>
internal static unsafe partial class Dequantizer
{
    /// <param name="count">Values; a multiple of the type's block.</param>
    public static void Decode(GgmlType type, byte* source, float* target, long count)
    {
        switch (type)
        {
            case GgmlType.F32: Buffer.MemoryCopy(source, target, count * 4, count * 4); break;
            case GgmlType.F16: Half(source, target, count); break;
            case GgmlType.BF16: BrainFloat(source, target, count); break;
            case GgmlType.F64: Convert<double>(source, target, count); break;
            case GgmlType.I8: Convert<sbyte>(source, target, count); break;
            case GgmlType.I16: Convert<short>(source, target, count); break;
            case GgmlType.I32: Convert<int>(source, target, count); break;
            case GgmlType.I64: Convert<long>(source, target, count); break;
            case GgmlType.Q4_0: Q4_0(source, target, count / 32); break;
            case GgmlType.Q4_1: Q4_1(source, target, count / 32); break;
            case GgmlType.Q5_0: Q5_0(source, target, count / 32); break;
            case GgmlType.Q5_1: Q5_1(source, target, count / 32); break;
            case GgmlType.Q8_0: Q8_0(source, target, count / 32); break;
            case GgmlType.IQ4_NL: IQ4_NL(source, target, count / 32); break;
            case GgmlType.Q2_K: Q2_K(source, target, count / 256); break;
            case GgmlType.Q3_K: Q3_K(source, target, count / 256); break;
            case GgmlType.Q4_K: Q4_K(source, target, count / 256); break;
            case GgmlType.Q5_K: Q5_K(source, target, count / 256); break;
            case GgmlType.Q6_K: Q6_K(source, target, count / 256); break;
            case GgmlType.IQ4_XS: IQ4_XS(source, target, count / 256); break;
            default: throw new ArgumentOutOfRangeException(nameof(type), type, "No such block type.");
        }
    }

    /// <summary>IEEE half to float32; also for safetensors.</summary>
    public static void Half(byte* source, float* target, long count)
    {
        long i = 0;
        Vector128<ushort> exponent = Vector128.Create((ushort)0x7C00);
        for (; i + 8 <= count; i += 8)
        {
            if (Avx2.IsSupported && !Vector128.EqualsAny(Vector128.Load((ushort*)source + i) & exponent, exponent))
            {
                StoredBlocks.Ieee((ushort*)source + i).Store(target + i);
                continue;
            }
            (Vector128<uint> low, Vector128<uint> high) = Vector128.Widen(Vector128.Load((ushort*)source + i));
            Widen(low).Store(target + i);
            Widen(high).Store(target + i + 4);
        }
        for (; i < count; i++)
            target[i] = (float)Unsafe.ReadUnaligned<Half>(source + i * 2);

        static Vector128<float> Widen(Vector128<uint> half)
        {
            Vector128<uint> sign = (half & Vector128.Create(0x8000u)) << 16;
            Vector128<uint> magnitude = (half & Vector128.Create(0x7FFFu)) << 13;
            Vector128<uint> normal = magnitude + Vector128.Create(112u << 23);
            // A subnormal is its fraction at the scale of the smallest normal, minus that normal.
            Vector128<uint> subnormal = ((magnitude + Vector128.Create(113u << 23)).AsSingle() - Vector128.Create(113u << 23).AsSingle()).AsUInt32();
            Vector128<uint> special = magnitude | Vector128.Create(0x7F80_0000u);
            Vector128<uint> value = Vector128.ConditionalSelect(
                Vector128.LessThan(magnitude, Vector128.Create(0x0400u << 13)),
                subnormal,
                Vector128.ConditionalSelect(Vector128.GreaterThanOrEqual(magnitude, Vector128.Create(0x7C00u << 13)), special, normal));
            return (value | sign).AsSingle();
        }
    }

    /// <summary>bfloat16 to float32: the upper half of the bits; also for safetensors.</summary>
    public static void BrainFloat(byte* source, float* target, long count)
    {
        long i = 0;
        for (; i + 8 <= count; i += 8)
        {
            if (Avx2.IsSupported)
            {
                StoredBlocks.Brain((ushort*)source + i).Store(target + i);
                continue;
            }
            (Vector128<uint> low, Vector128<uint> high) = Vector128.Widen(Vector128.Load((ushort*)source + i));
            (low << 16).Store((uint*)target + i);
            (high << 16).Store((uint*)target + i + 4);
        }
        for (; i < count; i++)
            target[i] = BitConverter.UInt32BitsToSingle((uint)Unsafe.ReadUnaligned<ushort>(source + i * 2) << 16);
    }

    public static void Convert<T>(byte* source, float* target, long count) where T : unmanaged, System.Numerics.INumberBase<T>
    {
        for (long i = 0; i < count; i++)
            target[i] = float.CreateTruncating(Unsafe.ReadUnaligned<T>(source + i * sizeof(T)));
    }

    // half d, byte[16]: d × (q − 8)
    private static void Q4_0(byte* x, float* y, long blocks)
    {
        if (Avx2.IsSupported)
        {
            StoredBlocks.Widen<StoredBlocks.Nibbles>(x, 0, (nint)blocks, y);
            return;
        }
        for (; blocks > 0; blocks--, x += 18, y += 32)
        {
            Vector128<float> d = Scale(x);
            Vector128<byte> q = Vector128.Load(x + 2);
            Store(Low(q) - Vector128.Create((sbyte)8), d, y);
            Store(High(q) - Vector128.Create((sbyte)8), d, y + 16);
        }
    }

    // half d, half m, byte[16]: d × q + m
    private static void Q4_1(byte* x, float* y, long blocks)
    {
        if (Avx2.IsSupported)
        {
            StoredBlocks.Widen<StoredBlocks.NibblesAndMinimum>(x, 0, (nint)blocks, y);
            return;
        }
        for (; blocks > 0; blocks--, x += 20, y += 32)
        {
            Vector128<float> d = Scale(x);
            Vector128<float> m = Scale(x + 2);
            Vector128<byte> q = Vector128.Load(x + 4);
            Store(Low(q), d, m, y);
            Store(High(q), d, m, y + 16);
        }
    }

    // half d, bit[32] fifth bits, byte[16]: d × (q − 16)
    private static void Q5_0(byte* x, float* y, long blocks)
    {
        for (; blocks > 0; blocks--, x += 22, y += 32)
        {
            Vector128<float> d = Scale(x);
            Vector128<byte> q = Vector128.Load(x + 6);
            Store((Low(q) | FifthBits(x + 2)) - Vector128.Create((sbyte)16), d, y);
            Store((High(q) | FifthBits(x + 4)) - Vector128.Create((sbyte)16), d, y + 16);
        }
    }

    // half d, half m, bit[32] fifth bits, byte[16]: d × q + m
    private static void Q5_1(byte* x, float* y, long blocks)
    {
        for (; blocks > 0; blocks--, x += 24, y += 32)
        {
            Vector128<float> d = Scale(x);
            Vector128<float> m = Scale(x + 2);
            Vector128<byte> q = Vector128.Load(x + 8);
            Store(Low(q) | FifthBits(x + 4), d, m, y);
            Store(High(q) | FifthBits(x + 6), d, m, y + 16);
        }
    }

    // half d, sbyte[32]: d × q
    private static void Q8_0(byte* x, float* y, long blocks)
    {
        if (Avx2.IsSupported)
        {
            StoredBlocks.Widen<StoredBlocks.SignedBytes>(x, 0, (nint)blocks, y);
            return;
        }
        for (; blocks > 0; blocks--, x += 34, y += 32)
        {
            Vector128<float> d = Scale(x);
            Store(Vector128.Load((sbyte*)x + 2), d, y);
            Store(Vector128.Load((sbyte*)x + 18), d, y + 16);
        }
    }

    private static Vector128<sbyte> NonLinear => Vector128.Create(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

    // half d, byte[16]: d × table[q]
    private static void IQ4_NL(byte* x, float* y, long blocks)
    {
        Vector128<sbyte> table = NonLinear;
        for (; blocks > 0; blocks--, x += 18, y += 32)
        {
            Vector128<float> d = Scale(x);
            Vector128<byte> q = Vector128.Load(x + 2);
            Store(Vector128.Shuffle(table, Low(q)), d, y);
            Store(Vector128.Shuffle(table, High(q)), d, y + 16);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float ScaleOf(byte* half) => StoredBlocks.HalfValues[Unsafe.ReadUnaligned<ushort>(half)];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Scale(byte* half) => Vector128.Create(ScaleOf(half));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> Low(Vector128<byte> q) => (q & Vector128.Create((byte)0x0F)).AsSByte();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> High(Vector128<byte> q) => (q >>> 4).AsSByte();

    /// <summary>Bit i of the 16 bits as 16 in byte i.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> FifthBits(byte* bits)
    {
        Vector128<byte> spread = Vector128.Create(Vector64.Create(bits[0]), Vector64.Create(bits[1]));
        Vector128<byte> one = Vector128.Create((byte)1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128);
        return (Vector128.Equals(spread & one, one) & Vector128.Create((byte)16)).AsSByte();
    }

    /// <summary>The lower eight as float32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Wide(Vector128<sbyte> q) => Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(q));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<sbyte> Upper(Vector128<sbyte> q) => Sse2.ShiftRightLogical128BitLane(q, 8);

    /// <summary>y = d × q</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector128<sbyte> q, Vector128<float> d, float* y)
    {
        if (Avx2.IsSupported)
        {
            Vector256<float> scale = Vector256.Create(d, d);
            (Wide(q) * scale).Store(y);
            (Wide(Upper(q)) * scale).Store(y + 8);
            return;
        }
        (Vector128<short> low, Vector128<short> high) = Vector128.Widen(q);
        (Vector128<int> a, Vector128<int> b) = Vector128.Widen(low);
        (Vector128<int> c, Vector128<int> e) = Vector128.Widen(high);
        (Vector128.ConvertToSingle(a) * d).Store(y);
        (Vector128.ConvertToSingle(b) * d).Store(y + 4);
        (Vector128.ConvertToSingle(c) * d).Store(y + 8);
        (Vector128.ConvertToSingle(e) * d).Store(y + 12);
    }

    /// <summary>y = d × q + m</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector128<sbyte> q, Vector128<float> d, Vector128<float> m, float* y)
    {
        if (Avx2.IsSupported)
        {
            Vector256<float> scale = Vector256.Create(d, d), minimum = Vector256.Create(m, m);
            (Wide(q) * scale + minimum).Store(y);
            (Wide(Upper(q)) * scale + minimum).Store(y + 8);
            return;
        }
        (Vector128<short> low, Vector128<short> high) = Vector128.Widen(q);
        (Vector128<int> a, Vector128<int> b) = Vector128.Widen(low);
        (Vector128<int> c, Vector128<int> e) = Vector128.Widen(high);
        (Vector128.ConvertToSingle(a) * d + m).Store(y);
        (Vector128.ConvertToSingle(b) * d + m).Store(y + 4);
        (Vector128.ConvertToSingle(c) * d + m).Store(y + 8);
        (Vector128.ConvertToSingle(e) * d + m).Store(y + 12);
    }
}
