using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Hone.Training.Kernels;

/// <summary>Sums across a register.</summary>
internal static class Lane
{
    /// <summary>The lanes of four sums added, each in the same order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sums(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        Vector128<float> a4 = Four(a), b4 = Four(b), c4 = Four(c), d4 = Four(d);
        Vector128<float> ab = Sse.UnpackLow(a4, b4) + Sse.UnpackHigh(a4, b4); // a0 + a2, b0 + b2, a1 + a3, b1 + b3
        Vector128<float> cd = Sse.UnpackLow(c4, d4) + Sse.UnpackHigh(c4, d4);
        return Sse.MoveLowToHigh(ab, cd) + Sse.MoveHighToLow(cd, ab);
    }

    /// <inheritdoc cref="Sums(Vector512{float}, Vector512{float}, Vector512{float}, Vector512{float})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sums(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d)
    {
        Vector256<float> all = Fours(a, b, c, d);
        return all.GetLower() + all.GetUpper();
    }

    /// <summary>The same of eight.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Sums(
        Vector256<float> s0, Vector256<float> s1, Vector256<float> s2, Vector256<float> s3, Vector256<float> s4, Vector256<float> s5, Vector256<float> s6, Vector256<float> s7)
    {
        Vector256<float> a = Fours(s0, s1, s2, s3), b = Fours(s4, s5, s6, s7);
        return Vector256.Create(a.GetLower(), b.GetLower()) + Vector256.Create(a.GetUpper(), b.GetUpper());
    }

    /// <summary>Of four sums the lower lanes added, and the upper ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Fours(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d)
    {
        if (Avx.IsSupported)
            return Avx.HorizontalAdd(Avx.HorizontalAdd(a, b), Avx.HorizontalAdd(c, d));
        return Vector256.Create(
            Pairs(a.GetLower()), Pairs(b.GetLower()), Pairs(c.GetLower()), Pairs(d.GetLower()), Pairs(a.GetUpper()), Pairs(b.GetUpper()), Pairs(c.GetUpper()), Pairs(d.GetUpper()));

        static float Pairs(Vector128<float> x) => (x[0] + x[1]) + (x[2] + x[3]);
    }

    /// <summary>The same of sixteen. With AVX-512 only.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Sums(
        Vector512<float> s0, Vector512<float> s1, Vector512<float> s2, Vector512<float> s3, Vector512<float> s4, Vector512<float> s5, Vector512<float> s6, Vector512<float> s7,
        Vector512<float> s8, Vector512<float> s9, Vector512<float> s10, Vector512<float> s11, Vector512<float> s12, Vector512<float> s13, Vector512<float> s14, Vector512<float> s15)
    {
        // Of each sum four lanes: [s0, s4, s8, s12], [s1, s5, …] …
        Vector512<float> a = Fours(Eights(s0, s4), Eights(s8, s12)), b = Fours(Eights(s1, s5), Eights(s9, s13)), c = Fours(Eights(s2, s6), Eights(s10, s14)), d = Fours(Eights(s3, s7), Eights(s11, s15));
        Vector512<float> ab = Avx512F.UnpackLow(a, b) + Avx512F.UnpackHigh(a, b), cd = Avx512F.UnpackLow(c, d) + Avx512F.UnpackHigh(c, d);
        return Avx512F.Shuffle(ab, cd, 0x44) + Avx512F.Shuffle(ab, cd, 0xEE);
    }

    /// <summary>Each one's halves added: [x, y].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Eights(Vector512<float> x, Vector512<float> y) => Avx512F.Shuffle4x128(x, y, 0x44) + Avx512F.Shuffle4x128(x, y, 0xEE);

    /// <summary>The halves of each one's eight lanes added: two and two of them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Fours(Vector512<float> x, Vector512<float> y) => Avx512F.Shuffle4x128(x, y, 0x88) + Avx512F.Shuffle4x128(x, y, 0xDD);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Four(Vector512<float> x)
    {
        Vector256<float> eight = x.GetLower() + x.GetUpper();
        return eight.GetLower() + eight.GetUpper();
    }
}
