using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hone.Training.Kernels;

/// <summary>Memory of the calling thread for what lives within one turn of a loop; it grows to the largest ever asked for.</summary>
internal static unsafe class Scratch
{
    private const int Slots = 8;

    [ThreadStatic]
    private static float[]?[]? t_slots;

    /// <summary>An uninitialised [rows, columns]; the slot's matrix before it is gone.</summary>
    public static Matrix Take(int slot, int rows, int columns)
    {
        t_slots ??= new float[]?[Slots];
        int length = checked(rows * columns);
        if (t_slots[slot] is not { } array || array.Length < length)
            t_slots[slot] = array = GC.AllocateUninitializedArray<float>(length, pinned: true);
        return new Matrix((float*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(array)), rows, columns, columns);
    }
}
