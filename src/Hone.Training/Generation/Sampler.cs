using System.Numerics;
using System.Numerics.Tensors;
using Hone.Formats.Constraints;
using Hone.Formats.Inference;

namespace Hone.Training.Generation;

/// <summary>
/// Chooses the next token of one stream. In this order, as vLLM and Transformers have it: what a constraint forbids is removed, the request's bias is added, repetition penalty over prompt and answer, frequency and presence
/// penalty over the answer, temperature, top-k, top-p, softmax. Temperature 0 takes the largest after the penalties. What is drawn depends on the seed and
/// on the number of tokens drawn before, never on other streams.
/// </summary>
internal sealed class Sampler
{
    /// <summary>Tokens that are sorted at first.</summary>
    private const int FirstHead = 256;

    private static readonly Dictionary<int, double> s_none = [];
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
        Adjust(logits);
        if (_request.Temperature <= 0)
            return Largest(logits);
        double draw = _random.NextDouble(), sum = 0;
        Candidate[] candidates = Process(logits, draw);
        foreach (Candidate candidate in candidates)
        {
            sum += candidate.Probability;
            if (draw < sum)
                return candidate.Token;
        }
        return candidates[^1].Token;
    }

    /// <summary>The processed distribution: tokens that were not removed, likeliest first, equal ones by their number, probabilities summing to 1.</summary>
    /// <param name="logits">[V], adjusted.</param>
    /// <param name="draw">Where no filter ends the distribution, it may end after the token at which the sum exceeds this.</param>
    internal Candidate[] Process(ReadOnlySpan<float> logits, double draw = double.PositiveInfinity)
    {
        float largest = TensorPrimitives.Max(logits);
        double all = 0;
        if (_request.TopK == 0)
        {
            foreach (float logit in logits)
                all += Weight(logit, largest);
        }
        // Few of the tokens are likely: the vocabulary is sorted no further than is needed.
        for (int size = Math.Max(FirstHead, _request.TopK + 1); ; size *= 16)
        {
            ulong[] head = Head(logits, size);
            if (Keep(logits, head, head.Length < size, largest, all, draw) is { } candidates)
                return candidates;
        }
    }

    /// <summary>What top-k, top-p and the draw leave; null where that does not end within the head.</summary>
    /// <param name="whole">The head has all tokens.</param>
    /// <param name="all">Weight of all tokens; without top-k.</param>
    private Candidate[]? Keep(ReadOnlySpan<float> logits, ulong[] head, bool whole, float largest, double all, double draw)
    {
        int kept = head.Length;
        if (_request.TopK > 0)
        {
            kept = Math.Min(_request.TopK, head.Length);
            while (kept < head.Length && logits[Token(head[kept])] == logits[Token(head[kept - 1])])
                kept++; // ties with the k-th stay, as torch.topk's threshold has it
            if (kept == head.Length && !whole)
                return null;
        }
        var weights = new double[kept];
        double total = 0;
        for (int i = 0; i < kept; i++)
            total += weights[i] = Weight(logits[Token(head[i])], largest);
        bool ends = whole || _request.TopK > 0;
        if (!ends && (_request.TopP < 1 ? total / all < _request.TopP : total / all <= draw))
            return null;
        if (!ends)
            total = all;
        if (_request.TopP < 1)
        {
            double sum = 0, before = total;
            int i = 0;
            while (i < kept && (i == 0 || sum / before < _request.TopP))
                sum += weights[i++];
            (kept, total) = (i, sum);
        }
        var candidates = new Candidate[kept];
        for (int i = 0; i < kept; i++)
            candidates[i] = new Candidate(Token(head[i]), weights[i] / total);
        return candidates;
    }

    private double Weight(float logit, float largest) => Math.Exp(((double)logit - largest) / _request.Temperature);

    /// <summary>Keys of the likeliest tokens in order, without those that were removed.</summary>
    private static ulong[] Head(ReadOnlySpan<float> logits, int size)
    {
        ulong[] head;
        if (size >= logits.Length)
        {
            head = new ulong[logits.Length];
            int possible = 0;
            for (int t = 0; t < logits.Length; t++)
            {
                if (!float.IsNegativeInfinity(logits[t]))
                    head[possible++] = Key(logits[t], t);
            }
            Array.Resize(ref head, possible);
        }
        else
        {
            var queue = new PriorityQueue<ulong, ulong>(size); // the least likely first
            float least = float.NegativeInfinity;
            for (int t = 0; t < logits.Length; t++)
            {
                // An equal one that comes later stands behind.
                if (logits[t] <= least)
                    continue;
                ulong key = Key(logits[t], t);
                if (queue.Count < size)
                    queue.Enqueue(key, ~key);
                else
                    queue.EnqueueDequeue(key, ~key);
                if (queue.Count == size)
                    least = logits[Token(queue.Peek())];
            }
            head = [.. queue.UnorderedItems.Select(item => item.Element)];
        }
        Array.Sort(head);
        return head;
    }

    /// <summary>Grows as the logit falls and, where that is the same, with the token.</summary>
    private static ulong Key(float logit, int token)
    {
        uint bits = BitConverter.SingleToUInt32Bits(logit);
        uint rising = (bits & 0x8000_0000) != 0 ? ~bits : bits | 0x8000_0000;
        return (ulong)~rising << 32 | (uint)token;
    }

    private static int Token(ulong key) => (int)(uint)key;

    /// <summary>Bias and penalties. What a constraint forbids stays so: nothing is added to minus infinity that would change it.</summary>
    internal void Adjust(Span<float> logits)
    {
        foreach ((int token, double bias) in _request.LogitBias ?? s_none)
            logits[token] += (float)bias;
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
