using Hone.Formats.Models;

namespace Hone.Training.Kernels;

/// <summary>Stored matrices of the same width, one below the other: a product's second operand that is widened as it is packed.</summary>
internal sealed unsafe class StoredRows(StoredMatrix[] parts)
{
    public int Rows { get; } = parts.Sum(p => p.Rows);

    public int Columns => parts[0].Columns;

    public ReadOnlySpan<StoredMatrix> Parts => parts;

    /// <inheritdoc cref="StoredMatrix.HasParts"/>
    public bool HasParts { get; } = parts.All(p => p.HasParts);

    /// <summary>Runs of columns begin and end at its multiples.</summary>
    public int Run { get; } = parts.Max(p => p.Run);

    /// <summary>A run of columns of several rows.</summary>
    public void WidenRows(int row, int rows, int column, int count, float* target, nint stride)
    {
        foreach (ref readonly StoredMatrix part in parts.AsSpan())
        {
            int here = Math.Min(rows, part.Rows - row);
            if (here > 0)
            {
                part.WidenRows(row, here, column, count, target, stride);
                target += here * stride;
                row += here;
                rows -= here;
            }
            if (rows == 0)
                return;
            row -= part.Rows;
        }
    }
}

/// <summary>A product's second operand: float32 in memory, rows as a file stores them, or bfloat16.</summary>
internal readonly struct Operand
{
    private Operand(Matrix values, StoredRows? stored, BrainMatrix? brain = null) => (Values, Stored, Brain) = (values, stored, brain);

    public Matrix Values { get; }

    public StoredRows? Stored { get; }

    public BrainMatrix? Brain { get; }

    public int Rows => Stored?.Rows ?? Brain?.Rows ?? Values.Rows;

    public int Columns => Stored?.Columns ?? Brain?.Columns ?? Values.Columns;

    public static implicit operator Operand(Matrix values) => new(values, null);

    public static implicit operator Operand(StoredRows stored) => new(default, stored);

    public static implicit operator Operand(BrainMatrix brain) => new(default, null, brain);
}
