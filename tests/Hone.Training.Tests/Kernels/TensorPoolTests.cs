using System.Runtime.InteropServices;
using Hone.Training.Kernels;
using Hone.Training.Tests.Training;
using TorchSharp;

namespace Hone.Training.Tests.Kernels;

[Collection(CountedAlone.Name)]
public sealed class TensorPoolTests
{
    private const int Smallest = 1 << 13, Largest = 1 << 21; // numbers

    /// <summary>Tensors that live at the same time share no memory, whoever takes and disposes them.</summary>
    [Fact]
    public void Empty_ManyAtOnceOnManyThreads_NoneTouchesAnother() => Parallel.For(0, 4, thread =>
    {
        var random = new Random(thread);
        var live = new List<(torch.Tensor Tensor, float Mark)>();
        for (int i = 0; i < 400; i++)
        {
            if (live.Count == 0 || random.Next(3) > 0)
            {
                float mark = thread * 1000 + i;
                torch.Tensor tensor = TensorPool.Empty(random.Next(1, 9), random.Next(Smallest, Largest / 16));
                Numbers(tensor).Fill(mark);
                live.Add((tensor, mark));
            }
            else
            {
                int at = random.Next(live.Count);
                Assert.Equal(-1, Numbers(live[at].Tensor).IndexOfAnyExcept(live[at].Mark));
                live[at].Tensor.Dispose();
                live.RemoveAt(at);
            }
        }
        foreach ((torch.Tensor tensor, float mark) in live)
        {
            Assert.Equal(-1, Numbers(tensor).IndexOfAnyExcept(mark));
            tensor.Dispose();
        }
    });

    /// <summary>What passes of any size have given back is one piece again.</summary>
    [Fact]
    public void Empty_AfterPassesOfManySizes_FindsOnePiece()
    {
        TensorPool.Empty(Largest).Dispose();
        var random = new Random(1);
        for (int pass = 0; pass < 20; pass++)
        {
            using var scope = torch.NewDisposeScope();
            torch.Tensor kept = TensorPool.Zeros(8, random.Next(Smallest, Largest / 16)).DetachFromDisposeScope();
            for (int i = 0; i < 5; i++)
                TensorPool.EmptyLike(kept).copy_(kept).narrow(1, 5, 100);
            kept.Dispose();
        }
        long reserved = TensorPool.Reserved;
        const long region = 256L << 20;
        using torch.Tensor whole = TensorPool.Empty(region / sizeof(float));
        Assert.Equal(reserved, TensorPool.Reserved);
    }

    [Fact]
    public void Zeros_OverUsedMemory_AreZeros()
    {
        using (torch.Tensor used = TensorPool.Empty(3, Smallest))
            Numbers(used).Fill(7);
        using torch.Tensor zeros = TensorPool.Zeros(3, Smallest);
        Assert.Equal(-1, Numbers(zeros).IndexOfAnyExcept(0f));
        Assert.Equal([3, Smallest], zeros.shape);
    }

    [Fact]
    public void Empty_View_KeepsTheMemory()
    {
        torch.Tensor whole = TensorPool.Empty(2, Largest), view = whole.narrow(0, 1, 1);
        Numbers(view).Fill(3);
        whole.Dispose();
        using torch.Tensor other = TensorPool.Empty(2, Largest);
        Numbers(other).Fill(4);
        Assert.Equal(-1, Numbers(view).IndexOfAnyExcept(3f));
        view.Dispose();
    }

    private static Span<float> Numbers(torch.Tensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.bytes);
}
