using System.Runtime.InteropServices;
using TorchSharp;

namespace Hone.Training.Kernels;

/// <summary>A float32 matrix in memory that somebody else keeps alive: rows of neighbouring numbers, <see cref="Stride"/> apart.</summary>
internal readonly unsafe partial struct Matrix(float* data, int rows, int columns, nint stride)
{
    public const string Library = "LibTorchSharp";
    public const DllImportSearchPath Places = DllImportSearchPath.SafeDirectories | DllImportSearchPath.AssemblyDirectory;

    public float* Data => data;

    public int Rows => rows;

    public int Columns => columns;

    /// <summary>Numbers from one row to the next.</summary>
    public nint Stride => stride;

    /// <summary>A tensor's memory, all but its last dimension taken as rows; the tensor must outlive the matrix.</summary>
    public static Matrix Of(torch.Tensor tensor)
    {
        // Asked of the library number by number: the tensor's own lists are made anew at each question.
        nint handle = tensor.Handle;
        long last = Dimensions(handle) - 1;
        if (last < 0 || Type(handle) != (sbyte)torch.ScalarType.Float32 || StrideOf(handle, last) != 1 && Size(handle, last) != 1)
            throw new ArgumentException($"A matrix needs float32 rows of neighbouring numbers, not {tensor.dtype} with strides {string.Join(", ", tensor.stride())}.", nameof(tensor));
        long rows = 1;
        for (long i = 0; i < last; i++)
            rows *= Size(handle, i);
        long columns = Size(handle, last);
        return new Matrix((float*)Address(handle), checked((int)rows), checked((int)columns), (nint)(last > 0 ? StrideOf(handle, last - 1) : columns));
    }

    /// <summary>A tensor's first number. Its own spans are of bytes, which end at 2 GiB: the embedding of gemma's 256,000 tokens has more.</summary>
    public static nint AddressOf(torch.Tensor tensor) => Address(tensor.Handle);

    public Span<float> Row(int row) => new(data + row * stride, columns);

    /// <summary>All numbers of a matrix without gaps.</summary>
    public Span<float> All() => stride == columns ? new(data, checked(rows * columns)) : throw new InvalidOperationException("The rows have gaps between them.");

    /// <summary>The first numbers of one row, read as another shape.</summary>
    public Matrix Shaped(int newRows, int newColumns) => new(data, newRows, newColumns, newColumns);

    public Matrix RowRange(int start, int count) => new(data + start * stride, count, columns, stride);

    public Matrix ColumnRange(int start, int count) => new(data + start, rows, count, stride);

    [LibraryImport(Library, EntryPoint = "THSTensor_data")]
    [DefaultDllImportSearchPaths(Places)]
    private static partial nint Address(nint tensor);

    [LibraryImport(Library, EntryPoint = "THSTensor_type")]
    [DefaultDllImportSearchPaths(Places)]
    private static partial sbyte Type(nint tensor);

    [LibraryImport(Library, EntryPoint = "THSTensor_ndimension")]
    [DefaultDllImportSearchPaths(Places)]
    private static partial long Dimensions(nint tensor);

    [LibraryImport(Library, EntryPoint = "THSTensor_size")]
    [DefaultDllImportSearchPaths(Places)]
    private static partial long Size(nint tensor, long dimension);

    [LibraryImport(Library, EntryPoint = "THSTensor_stride")]
    [DefaultDllImportSearchPaths(Places)]
    private static partial long StrideOf(nint tensor, long dimension);
}
