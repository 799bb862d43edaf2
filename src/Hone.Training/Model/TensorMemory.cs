using System.Buffers;
using Hone.Training.Kernels;
using TorchSharp;

namespace Hone.Training.Model;

/// <summary>A float32 tensor's own numbers, for writers that take managed memory: nothing is copied. Good as long as the tensor lives.</summary>
internal sealed class TensorMemory(torch.Tensor tensor) : MemoryManager<float>
{
    public override Span<float> GetSpan() => Matrix.Of(tensor).All();

    public override MemoryHandle Pin(int elementIndex = 0) => throw new NotSupportedException("Native memory is written through its span.");

    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing)
    {
    }
}
