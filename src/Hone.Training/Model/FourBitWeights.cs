using System.Collections.Concurrent;
using Hone.Formats.Models;
using Hone.Formats.Models.FourBit;

namespace Hone.Training.Model;

/// <summary>
/// A model's linear weights rounded to four-bit blocks at load, as bitsandbytes and Transformers do it: those of the layers, experts among them. Embedding, output
/// matrix, routers, norms and biases stay the file's.
/// </summary>
internal sealed class FourBitWeights
{
    private readonly ModelWeights _weights;
    private readonly ConcurrentDictionary<string, FourBitMatrix> _matrices = new(StringComparer.Ordinal);

    public FourBitWeights(ModelWeights weights, BasePrecision precision)
    {
        _weights = weights;
        FourBitKind kind = precision.Form == WeightForm.Nf4 ? FourBitKind.Nf4 : FourBitKind.Fp4;
        Parallel.ForEach(NamesOf(weights), name => _matrices[name] = weights.Quantize(name, kind, precision.DoubleQuant));
    }

    public static IEnumerable<string> NamesOf(ModelWeights weights) => weights.LinearModules.Select(m => m.Name + ".weight")
        .Concat(weights.Tensors.Select(t => t.Name).Where(name => name.Contains(".experts.", StringComparison.Ordinal)));

    /// <inheritdoc cref="ReadTensor"/>
    public unsafe void Read(string name, long start, Span<float> destination)
    {
        if (!_matrices.TryGetValue(name, out FourBitMatrix? matrix))
        {
            _weights.ReadFloat32(name, start, destination);
            return;
        }
        fixed (float* target = destination)
            matrix.Widen(start, destination.Length, target);
    }

    public StoredMatrix? Stored(string name) => _matrices.TryGetValue(name, out FourBitMatrix? matrix) ? StoredMatrix.Of(matrix) : _weights.Stored(name);
}
