namespace Hone.Formats.Gguf;

/// <summary>A tensor as the file lists it.</summary>
/// <param name="Shape">Row-major, slowest first: the reverse of the order in the file. A matrix is [out, in].</param>
/// <param name="Offset">First byte, counted from the start of the file.</param>
/// <param name="Length">Bytes.</param>
public sealed record GgufTensor(string Name, GgmlType Type, long[] Shape, long Offset, long Length)
{
    /// <summary>Which of the model's files has it.</summary>
    public int Part { get; init; }

    public long Elements
    {
        get
        {
            long elements = 1;
            foreach (long size in Shape)
                elements *= size;
            return elements;
        }
    }
}
