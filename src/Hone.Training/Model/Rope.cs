using Hone.Formats.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>
/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864) in the halves layout of Hugging Face's models: element i turns with element i + d/2
/// by the angle <c>position · θ^(−2i/d)</c>.
/// </summary>
internal sealed class Rope(ModelConfig config)
{
    // Frequencies and angles are rounded to float32 where Hugging Face's code rounds them: the models were trained with these angles.
    private readonly float[] _inverseFrequencies = [.. Enumerable.Range(0, config.HeadDim / 2)
        .Select(i => 1 / (float)Math.Pow(config.RopeTheta, (float)(2 * i) / config.HeadDim))];

    /// <summary>Cosine and sine of each token's angles, [N, 1, d/2] each.</summary>
    public RopeAngles Angles(ReadOnlySpan<int> positions)
    {
        int half = _inverseFrequencies.Length;
        var cos = new float[positions.Length * half];
        var sin = new float[positions.Length * half];
        for (int n = 0; n < positions.Length; n++)
        {
            for (int i = 0; i < half; i++)
            {
                float angle = positions[n] * _inverseFrequencies[i];
                (double s, double c) = Math.SinCos(angle);
                cos[n * half + i] = (float)c;
                sin[n * half + i] = (float)s;
            }
        }
        return new RopeAngles(tensor(cos, [positions.Length, 1, half]), tensor(sin, [positions.Length, 1, half]));
    }
}

internal sealed record RopeAngles(Tensor Cos, Tensor Sin) : IDisposable
{
    /// <param name="x">[N, H, d]; need not be contiguous.</param>
    public Tensor Rotate(Tensor x) => Turn(x, 1);

    /// <summary>The transposed rotation: the gradient of the input from that of the output.</summary>
    public Tensor RotateBack(Tensor dy) => Turn(dy, -1);

    private Tensor Turn(Tensor x, double sign)
    {
        long half = x.shape[2] / 2;
        Tensor a = x.narrow(2, 0, half), b = x.narrow(2, half, half); // [N, H, d/2]
        return cat(
        [
            a.mul(Cos).addcmul_(b, Sin, -sign),
            b.mul(Cos).addcmul_(a, Sin, sign),
        ], 2); // [N, H, d]
    }

    public void Dispose()
    {
        Cos.Dispose();
        Sin.Dispose();
    }
}
