using System.Numerics;
using System.Numerics.Tensors;
using Hone.Formats.Constraints;
using Hone.Formats.Inference;

namespace Hone.Training.Generation;

/// <summary>
/// Chooses the next token of one stream. In this order, as vLLM and Transformers have it: what a constraint forbids is removed, repetition penalty over prompt and answer, frequency and presence
/// penalty over the answer, temperature, top-k, top-p, softmax. Temperature 0 takes the largest after the penalties. What is drawn depends on the seed and
/// on the number of tokens drawn before, never on other streams.
/// </summary>
internal sealed class Sampler
{
    private readonly GenerateRequest _request;
    private readonly Dictionary<int, int> _generated = [];
    private readonly HashSet<int> _seen;
    private SplitMix64 _random;

    public Sampler(GenerateRequest request, ReadOnlySpan<int> prompt)
    {
        _request = request;
        _seen = [.. prompt];
        _random = new SplitMix64(request.Seed ?? Random.Shared.NextInt64(), "sampling");
    }

    /// <param name="logits">[V]; is overwritten.</param>
    /// <param name="mask">The tokens to choose from, at least one; null: all.</param>
    public int Next(Span<float> logits, TokenMask? mask = null)
    {
        if (mask is not null)
            Apply(mask, logits);
        int token = Choose(logits);
        Seen(token);
        return token;
    }

    internal void Seen(int token)
    {
        _seen.Add(token);
        _generated[token] = _generated.GetValueOrDefault(token) + 1;
    }

    internal static void Apply(TokenMask mask, Span<float> logits)
    {
        ReadOnlySpan<ulong> bits = mask.Bits;
        for (int word = 0; word * 64 < logits.Length; word++)
        {
            ulong forbidden = word < bits.Length ? ~bits[word] : ulong.MaxValue;
            if (forbidden == ulong.MaxValue)
            {
                logits[(word * 64)..Math.Min(logits.Length, word * 64 + 64)].Fill(float.NegativeInfinity);
                continue;
            }
            for (; forbidden != 0; forbidden &= forbidden - 1)
            {
                int token = word * 64 + BitOperations.TrailingZeroCount(forbidden);
                if (token < logits.Length)
                    logits[token] = float.NegativeInfinity;
            }
        }
    }

    private int Choose(Span<float> logits)
    {
        Penalise(logits);
        if (_request.Temperature <= 0)
            return Largest(logits);
        Candidate[] candidates = Process(logits);
        double draw = _random.NextDouble(), sum = 0;
        foreach (Candidate candidate in candidates)
        {
            sum += candidate.Probability;
            if (draw < sum)
                return candidate.Token;
        }
        return candidates[^1].Token;
    }

    /// <summary>The processed distribution: tokens that were not removed, likeliest first, probabilities summing to 1.</summary>
    /// <param name="logits">[V], after the penalties.</param>
    internal Candidate[] Process(ReadOnlySpan<float> logits)
    {
        int[] tokens = new int[logits.Length];
        float[] keys = new float[logits.Length];
        int possible = 0;
        for (int t = 0; t < logits.Length; t++)
        {
            if (float.IsNegativeInfinity(logits[t]))
                continue;
            (tokens[possible], keys[possible]) = (t, -logits[t]);
            possible++;
        }
        Array.Resize(ref tokens, possible);
        Array.Resize(ref keys, possible);
        Array.Sort(keys, tokens); // likeliest first
        int kept = _request.TopK > 0 ? Math.Min(_request.TopK, tokens.Length) : tokens.Length;
        while (_request.TopK > 0 && kept < keys.Length && keys[kept] == keys[kept - 1])
            kept++; // ties with the k-th stay, as torch.topk's threshold has it

        double highest = -(double)keys[0] / _request.Temperature, total = 0;
        var weights = new double[kept];
        for (int i = 0; i < kept; i++)
            total += weights[i] = Math.Exp(-(double)keys[i] / _request.Temperature - highest);
        if (_request.TopP < 1)
        {
            double sum = 0, all = total;
            int i = 0;
            while (i < kept && (i == 0 || sum / all < _request.TopP))
                sum += weights[i++];
            (kept, total) = (i, sum);
        }
        var candidates = new Candidate[kept];
        for (int i = 0; i < kept; i++)
            candidates[i] = new Candidate(tokens[i], weights[i] / total);
        return candidates;
    }

    internal void Penalise(Span<float> logits)
    {
        if (_request.RepetitionPenalty != 1)
        {
            foreach (int token in _seen)
                logits[token] = (float)(logits[token] < 0 ? logits[token] * _request.RepetitionPenalty : logits[token] / _request.RepetitionPenalty);
        }
        if (_request.FrequencyPenalty == 0 && _request.PresencePenalty == 0)
            return;
        foreach ((int token, int count) in _generated)
            logits[token] -= (float)(_request.FrequencyPenalty * count + _request.PresencePenalty);
    }

    /// <summary>The first of the largest.</summary>
    private static int Largest(ReadOnlySpan<float> logits) => TensorPrimitives.IndexOfMax(logits);

    internal readonly record struct Candidate(int Token, double Probability);
}
