using System.Numerics.Tensors;
using System.Text;
using Hone.Formats.Inference;
using Hone.Formats.Tokenizers;

namespace Hone.Training.Generation;

/// <summary>Log-probabilities in the model's own distribution: the logits' log-softmax, before penalties, temperature and constraints, as vLLM gives them by default.</summary>
internal sealed class TokenLogprobs(Tokenizer tokenizer, int top)
{
    /// <param name="logits">[V], unchanged by sampling.</param>
    /// <param name="token">That was chosen.</param>
    public TokenLogprob Of(ReadOnlySpan<float> logits, int token)
    {
        float highest = TensorPrimitives.Max(logits);
        double sum = 0;
        foreach (float logit in logits)
            sum += Math.Exp(logit - highest);
        double normalizer = highest + Math.Log(sum);
        var likeliest = new List<TokenAlternative>(top);
        foreach (int id in Likeliest(logits))
        {
            byte[] bytes = tokenizer.BytesOf(id);
            likeliest.Add(new TokenAlternative(Encoding.UTF8.GetString(bytes), logits[id] - normalizer, bytes));
        }
        byte[] own = tokenizer.BytesOf(token);
        return new TokenLogprob(Encoding.UTF8.GetString(own), logits[token] - normalizer, own, likeliest);
    }

    /// <summary>Of a token before which nothing stands.</summary>
    public TokenLogprob First(int token)
    {
        byte[] own = tokenizer.BytesOf(token);
        return new TokenLogprob(Encoding.UTF8.GetString(own), 0, own, null);
    }

    /// <summary>Likeliest first; of equals the lower id.</summary>
    private List<int> Likeliest(ReadOnlySpan<float> logits)
    {
        var best = new List<int>(top + 1);
        for (int t = 0; t < logits.Length && top > 0; t++)
        {
            if (best.Count == top && !(logits[t] > logits[best[^1]]))
                continue;
            int at = best.Count;
            while (at > 0 && logits[t] > logits[best[at - 1]])
                at--;
            best.Insert(at, t);
            if (best.Count > top)
                best.RemoveAt(top);
        }
        return best;
    }
}
