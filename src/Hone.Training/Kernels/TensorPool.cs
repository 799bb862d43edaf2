using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Kernels;

/// <summary>
/// Memory of the tensors that passes take and give back: a pass that follows another of a different size finds all of it in one piece. The process's own allocator
/// would put small blocks that outlive the pass between them, so that hundreds of megabytes fit nothing any more. A tensor takes the lowest place that is free
/// and gives it back when the library lets go of it, whoever disposes it.
/// </summary>
internal static unsafe partial class TensorPool
{
    /// <summary>Smaller tensors, in bytes, stay with the library.</summary>
    private const long Least = 1 << 14;

    /// <summary>Taken from the system at once; what is never written takes no memory.</summary>
    private const long RegionBytes = 256L << 20;

    private const int Alignment = 64;

    private static readonly Lock s_gate = new();
    private static readonly Dictionary<nint, Block> s_taken = [];
    private static readonly List<Block> s_regions = []; // the first block of each
    private static readonly Stack<Block> s_spare = [];

    /// <summary>Bytes taken from the system so far.</summary>
    public static long Reserved { get; private set; }

    /// <summary>Uninitialised float32.</summary>
    public static Tensor Empty(params ReadOnlySpan<long> shape) => Empty(ScalarType.Float32, sizeof(float), shape);

    /// <summary>Uninitialised bfloat16.</summary>
    public static Tensor EmptyBrain(params ReadOnlySpan<long> shape) => Empty(ScalarType.BFloat16, sizeof(ushort), shape);

    /// <summary>Of the same shape, which is asked for number by number: the library's own array of it takes 2 µs to make, where a token's pass is of hundreds of tensors.</summary>
    public static Tensor EmptyLike(Tensor tensor)
    {
        Span<long> shape = stackalloc long[(int)tensor.Dimensions];
        for (int i = 0; i < shape.Length; i++)
            shape[i] = tensor.size(i);
        return Empty(shape);
    }

    public static Tensor Zeros(params ReadOnlySpan<long> shape) => Empty(shape).zero_();

    public static Tensor ZerosLike(Tensor tensor) => EmptyLike(tensor).zero_();

    public static Tensor Clone(Tensor tensor) => EmptyLike(tensor).copy_(tensor);

    private static Tensor Empty(ScalarType type, int size, ReadOnlySpan<long> shape)
    {
        long bytes = size;
        foreach (long dimension in shape)
            bytes = checked(bytes * dimension);
        if (bytes < Least)
            return empty(shape, dtype: type);
        nint data = Take((bytes + Alignment - 1) / Alignment * Alignment);
        fixed (long* sizes = shape)
        {
            nint handle = New(data, &Return, sizes, shape.Length, (sbyte)type, (sbyte)type, (int)DeviceType.CPU, -1, 0);
            if (handle == 0)
            {
                Release(data);
                CheckForErrors();
            }
            return Tensor.UnsafeCreateTensor(handle);
        }
    }

    private static nint Take(long bytes)
    {
        lock (s_gate)
        {
            Block block = FirstFree(bytes) ?? Grow(bytes);
            if (block.Bytes > bytes)
            {
                Block rest = s_spare.TryPop(out Block? spare) ? spare : new Block();
                (rest.Address, rest.Bytes, rest.Taken, rest.Before, rest.After) = (block.Address + (nint)bytes, block.Bytes - bytes, false, block, block.After);
                if (rest.After is { } after)
                    after.Before = rest;
                (block.After, block.Bytes) = (rest, bytes);
            }
            block.Taken = true;
            s_taken.Add(block.Address, block);
            return block.Address;
        }
    }

    private static Block? FirstFree(long bytes)
    {
        foreach (Block first in s_regions)
        {
            for (Block? block = first; block is not null; block = block.After)
            {
                if (!block.Taken && block.Bytes >= bytes)
                    return block;
            }
        }
        return null;
    }

    private static Block Grow(long bytes)
    {
        long size = Math.Max(RegionBytes, bytes);
        var region = new Block { Address = (nint)NativeMemory.AlignedAlloc((nuint)size, Alignment), Bytes = size };
        s_regions.Add(region);
        Reserved += size;
        return region;
    }

    private static void Release(nint data)
    {
        lock (s_gate)
        {
            s_taken.Remove(data, out Block? block);
            block!.Taken = false;
            if (block.After is { Taken: false } after)
                Join(block, after);
            if (block.Before is { Taken: false } before)
                Join(before, block);
        }
    }

    private static void Join(Block block, Block next)
    {
        block.Bytes += next.Bytes;
        block.After = next.After;
        if (next.After is { } after)
            after.Before = block;
        s_spare.Push(next);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Return(nint data) => Release(data);

    [LibraryImport(Matrix.Library, EntryPoint = "THSTensor_new")]
    [DefaultDllImportSearchPaths(Matrix.Places)]
    private static partial nint New(nint data, delegate* unmanaged[Cdecl]<nint, void> deleter, long* sizes, int dimensions, sbyte type, sbyte dtype, int deviceType, int deviceIndex, byte requiresGradient);

    /// <summary>A piece of a region, between its neighbours.</summary>
    private sealed class Block
    {
        public nint Address { get; set; }

        public long Bytes { get; set; }

        public bool Taken { get; set; }

        public Block? Before { get; set; }

        public Block? After { get; set; }
    }
}
