using System.Threading.Channels;
using Hone.Formats.Inference;
using Hone.Formats.Models;
using Hone.Training.Lora;

namespace Hone.Training.Generation;

/// <summary>One answer under way. Owned by the generator's thread; the reader sees only the channel.</summary>
internal sealed class GenerationStream : IDisposable
{
    private readonly BaseModel _model;
    private readonly Sampler _sampler;
    private readonly TextStream _text;
    private readonly int _limit;
    private readonly Channel<GenerateEvent> _events = Channel.CreateUnbounded<GenerateEvent>(new() { SingleReader = true, SingleWriter = true });
    private readonly List<int> _answer = [];
    private bool _released;

    public GenerationStream(BaseModel model, GenerateRequest request, int[] prompt, LoraAdapter? adapter, CancellationToken cancellation)
    {
        _model = model;
        Prompt = prompt;
        Next = prompt;
        Adapter = adapter;
        Cancellation = cancellation;
        Cache = new KeyValueCache(model.Config.Layers);
        _sampler = new Sampler(request, prompt);
        _text = new TextStream(model.Tokenizer, request.Stop ?? []);
        _limit = Math.Min(request.MaxTokens, model.Config.ContextLength - prompt.Length);
    }

    public int[] Prompt { get; }
    public LoraAdapter? Adapter { get; }
    public KeyValueCache Cache { get; }
    public CancellationToken Cancellation { get; }

    /// <summary>Tokens to compute in the next pass: the prompt at first, then one at a time.</summary>
    public int[] Next { get; private set; }
    public bool Finished { get; private set; }

    /// <summary>The prompt is not computed yet.</summary>
    public bool IsNew => _answer.Count == 0;

    /// <summary>Go on to the limit: for measuring.</summary>
    public bool IgnoreStop { get; init; }
    public ChannelReader<GenerateEvent> Events => _events.Reader;

    /// <summary>Given back when the stream is disposed.</summary>
    public AdapterUse? AdapterUse { get; init; }

    /// <summary>Sees the logits of each pass before a token is chosen: for tests.</summary>
    public Action<ReadOnlySpan<float>>? Observer { get; init; }

    /// <summary>Tokens of the prompt and of the longest answer: the last one's keys and values are never computed.</summary>
    public int MostTokens => Prompt.Length + _limit - 1;

    /// <summary>Memory that the keys and values take at most.</summary>
    public long MostCacheBytes => KeyValueCache.CapacityFor(MostTokens) * _model.Config.Layers * 2 * _model.Config.KeyValueHeads * _model.Config.HeadDim * sizeof(float);

    /// <summary>The prompt's first tokens are known: the first pass computes the rest.</summary>
    public void BeginAfter(KeyValueCache known, int length)
    {
        Cache.CopyFrom(known, length);
        Next = Prompt[length..];
    }

    /// <summary>Hands over the keys and values, and the tokens that they stand for.</summary>
    public (int[] Tokens, KeyValueCache Cache) Release()
    {
        _released = true;
        return ([.. Prompt.Concat(_answer).Take(Cache.Length)], Cache);
    }

    /// <param name="logits">[V], after the tokens of <see cref="Next"/>; is overwritten.</param>
    public void Advance(Span<float> logits)
    {
        Cache.Length += Next.Length;
        Observer?.Invoke(logits);
        int token = _sampler.Next(logits);
        _answer.Add(token);
        if (!IgnoreStop && _model.StopTokens.Contains(token))
        {
            Finish("stop");
            return;
        }
        string text = _text.Next(token);
        if (text.Length > 0)
            _events.Writer.TryWrite(new GenerateEvent.Token(text));
        if (_text.Stopped)
            Finish("stop");
        else if (_answer.Count >= _limit)
            Finish("length");
        else
            Next = [token];
    }

    public void Fail(string code, string message)
    {
        Finished = true;
        _events.Writer.TryWrite(new GenerateEvent.Failed(code, message));
        _events.Writer.TryComplete();
    }

    public void Abandon()
    {
        Finished = true;
        _events.Writer.TryComplete();
    }

    private void Finish(string reason)
    {
        Finished = true;
        string rest = _text.Flush();
        if (rest.Length > 0)
            _events.Writer.TryWrite(new GenerateEvent.Token(rest));
        _events.Writer.TryWrite(new GenerateEvent.Done(reason, Prompt.Length, _answer.Count));
        _events.Writer.TryComplete();
    }

    public void Dispose()
    {
        if (!_released)
            Cache.Dispose();
        AdapterUse?.Dispose();
    }
}
