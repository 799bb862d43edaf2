using System.Runtime.InteropServices;
using TorchSharp;

namespace Hone.Training.Kernels;

/// <summary>A float32 matrix in memory that somebody else keeps alive: rows of neighbouring numbers, <see cref="Stride"/> apart.</summary>
internal readonly unsafe partial struct Matrix(float* data, int rows, int columns, nint stride)
{
    public float* Data => data;

    public int Rows => rows;

    public int Columns => columns;

    /// <summary>Numbers from one row to the next.</summary>
    public nint Stride => stride;

    /// <summary>A tensor's memory, all but its last dimension taken as rows; the tensor must outlive the matrix.</summary>
    public static Matrix Of(torch.Tensor tensor)
    {
        long[] shape = tensor.shape, strides = tensor.stride();
        if (tensor.dtype != torch.float32 || strides[^1] != 1 && shape[^1] != 1)
            throw new ArgumentException($"A matrix needs float32 rows of neighbouring numbers, not {tensor.dtype} with strides {string.Join(", ", strides)}.", nameof(tensor));
        long rows = 1;
        for (int i = 0; i < shape.Length - 1; i++)
            rows *= shape[i];
        return new Matrix((float*)Address(tensor.Handle), checked((int)rows), checked((int)shape[^1]), shape.Length > 1 ? (nint)strides[^2] : (nint)shape[^1]);
    }

    public Span<float> Row(int row) => new(data + row * stride, columns);

    /// <summary>All numbers of a matrix without gaps.</summary>
    public Span<float> All() => stride == columns ? new(data, checked(rows * columns)) : throw new InvalidOperationException("The rows have gaps between them.");

    /// <summary>The first numbers of one row, read as another shape.</summary>
    public Matrix Shaped(int newRows, int newColumns) => new(data, newRows, newColumns, newColumns);

    public Matrix RowRange(int start, int count) => new(data + start * stride, count, columns, stride);

    public Matrix ColumnRange(int start, int count) => new(data + start, rows, count, stride);

    [LibraryImport("LibTorchSharp", EntryPoint = "THSTensor_data")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories | DllImportSearchPath.AssemblyDirectory)]
    private static partial nint Address(nint tensor);
}
