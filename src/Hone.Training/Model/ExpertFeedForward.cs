using Hone.Formats.Models;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>
/// Experts behind a router (Shazeer et al. 2017, arXiv:1701.06538), all frozen: <c>p = softmax(x Rᵀ)</c>, the k likeliest experts' answers weighted by their p,
/// which are divided by their sum where the model does so. The gradient flows through the weights as through the answers.
/// </summary>
/// <param name="router">R [E, D]</param>
/// <param name="gateUp">Of each expert [2F, D].</param>
/// <param name="down">Of each expert [D, F].</param>
internal sealed class ExpertFeedForward(ExpertConfig config, Tensor router, FrozenWeight[] gateUp, FrozenWeight[] down, GatedUnit unit) : FeedForward
{
    /// <summary>[E, D]</summary>
    public Tensor Router => router;

    public IReadOnlyList<FrozenWeight> GateUp => gateUp;

    public IReadOnlyList<FrozenWeight> Down => down;

    public override IEnumerable<LoraLinear> Projections => [];

    public override Tensor Forward(Tensor x, IReadOnlyList<AdapterRows> adapters, SavedFeedForward? saved)
    {
        Tensor result = TensorPool.ZerosLike(x);
        foreach (Share share in Shares(Probabilities(x)))
        {
            using var scope = NewDisposeScope();
            (Tensor rows, Tensor weights) = (tensor(share.Rows), tensor(share.Weights).unsqueeze(1));
            Tensor answer = Product(unit.Forward(Product(x.index_select(0, rows), gateUp[share.Expert].Values(), true)), down[share.Expert].Values(), true);
            result.PlusRowsInPlace(rows, answer.mul_(weights));
        }
        return result;
    }

    public override Tensor Backward(Tensor dy, Func<Tensor> x, LoraAdapter adapter, SavedFeedForward saved)
    {
        Tensor input = x(), dx = TensorPool.ZerosLike(input);
        float[][] p = Probabilities(input);
        var dWeights = new float[p.Length, config.Count];
        List<Share> shares = Shares(p);
        foreach (Share share in shares)
        {
            using var scope = NewDisposeScope();
            (Tensor rows, Tensor weights) = (tensor(share.Rows), tensor(share.Weights).unsqueeze(1));
            Tensor g = Product(input.index_select(0, rows), gateUp[share.Expert].Values(), true), upper = dy.index_select(0, rows);
            (Tensor dGateUp, Tensor h) = unit.Backward(Product(upper.mul(weights), down[share.Expert].Values(), false), g);
            float[] dots = Product(h, down[share.Expert].Values(), true).mul_(upper).sum(1).data<float>().ToArray();
            for (int i = 0; i < dots.Length; i++)
                dWeights[share.Rows[i], share.Expert] = dots[i];
            dx.PlusRowsInPlace(rows, Product(dGateUp, gateUp[share.Expert].Values(), false));
        }
        return dx.PlusInPlace(Product(tensor(LogitGradients(p, dWeights, shares), [p.Length, config.Count]), Matrix.Of(router), false));
    }

    private float[][] Probabilities(Tensor x)
    {
        using var scope = NewDisposeScope();
        float[] all = Product(x, Matrix.Of(router), true).softmax(-1).data<float>().ToArray();
        return [.. all.Chunk(config.Count)];
    }

    /// <summary>The tokens of each expert and their weights.</summary>
    private List<Share> Shares(float[][] p)
    {
        var rows = new List<long>[config.Count];
        var weights = new List<float>[config.Count];
        for (int e = 0; e < config.Count; e++)
            (rows[e], weights[e]) = ([], []);
        for (int n = 0; n < p.Length; n++)
        {
            int[] chosen = Chosen(p[n]);
            float sum = config.Normalize ? chosen.Sum(e => p[n][e]) : 1;
            foreach (int e in chosen)
            {
                rows[e].Add(n);
                weights[e].Add(p[n][e] / sum);
            }
        }
        return [.. Enumerable.Range(0, config.Count).Where(e => rows[e].Count > 0).Select(e => new Share(e, [.. rows[e]], [.. weights[e]]))];
    }

    private int[] Chosen(float[] p) => [.. Enumerable.Range(0, p.Length).OrderByDescending(e => p[e]).Take(config.PerToken)];

    /// <summary>With weights <c>w = p / Σ p</c> of the chosen: <c>dp = (dw − Σ dw·w) / Σ p</c>; then <c>dz = p·(dp − Σ p·dp)</c>.</summary>
    private float[] LogitGradients(float[][] p, float[,] dWeights, List<Share> shares)
    {
        var result = new float[p.Length * config.Count];
        var chosen = new List<int>[p.Length];
        foreach (Share share in shares)
        {
            foreach (long row in share.Rows)
                (chosen[row] ??= []).Add(share.Expert);
        }
        for (int n = 0; n < p.Length; n++)
        {
            double sum = config.Normalize ? chosen[n].Sum(e => (double)p[n][e]) : 1;
            double mean = config.Normalize ? chosen[n].Sum(e => dWeights[n, e] * (p[n][e] / sum)) : 0;
            double all = chosen[n].Sum(e => p[n][e] * ((dWeights[n, e] - mean) / sum));
            for (int e = 0; e < config.Count; e++)
                result[n * config.Count + e] = (float)(p[n][e] * ((chosen[n].Contains(e) ? (dWeights[n, e] - mean) / sum : 0) - all));
        }
        return result;
    }

    private static Tensor Product(Tensor x, Operand weight, bool transposed)
    {
        Tensor y = TensorPool.Empty(x.size(0), transposed ? weight.Rows : weight.Columns);
        MatrixProduct.Run(Matrix.Of(y), false, new ProductTerm(Matrix.Of(x), weight, Transposed: transposed));
        return y;
    }

    public override void Dispose()
    {
        router.Dispose();
        foreach (FrozenWeight weight in gateUp.Concat(down))
            weight.Dispose();
    }

    private sealed record Share(int Expert, long[] Rows, float[] Weights);
}
