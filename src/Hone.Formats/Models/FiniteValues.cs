using System.Numerics;
using System.Runtime.InteropServices;

namespace Hone.Formats.Models;

internal static class FiniteValues
{
    /// <summary>The index of the first value that is infinite or not a number; −1 where all are finite.</summary>
    public static int FirstOther(ReadOnlySpan<float> values)
    {
        // x − x is 0 for finite values and NaN for others.
        ReadOnlySpan<Vector<float>> vectors = MemoryMarshal.Cast<float, Vector<float>>(values);
        int start = 0;
        foreach (Vector<float> vector in vectors)
        {
            if (!Vector.EqualsAll(vector - vector, Vector<float>.Zero))
                break;
            start += Vector<float>.Count;
        }
        for (int i = start; i < values.Length; i++)
        {
            if (!float.IsFinite(values[i]))
                return i;
        }
        return -1;
    }
}
