using System.Diagnostics.CodeAnalysis;
using System.Threading.Channels;
using Hone.Formats.Constraints;
using Hone.Formats.Inference;
using Hone.Formats.Models;
using Hone.Formats.ToolCalls;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Encoding = System.Text.Encoding;

namespace Hone.Training.Generation;

/// <summary>One answer under way. Owned by the generator's thread; the reader sees only the channel.</summary>
internal sealed class GenerationStream : IDisposable
{
    /// <summary>Events that may lie unread while the next token is computed, once a reader has taken <see cref="FirstTaken"/>: the one that is passed on, and the one behind it.</summary>
    private const int MostUnread = 1, FirstTaken = 2;

    private readonly BaseModel _model;
    private readonly Sampler _sampler;
    private readonly AnswerWriter _writer;
    private readonly ConstraintState? _constraint;
    private readonly TokenLogprobs? _logprobs;
    private readonly int _limit;
    private readonly Channel<GenerateEvent> _events = Channel.CreateUnbounded<GenerateEvent>();
    private readonly List<int> _answer = [];
    private int _cachedTokens;
    private volatile int _taken; // events that the reader has taken, as far as FirstTaken

    /// <param name="model">The base.</param>
    /// <param name="request">What to say.</param>
    /// <param name="prompt">Its prompt's tokens.</param>
    /// <param name="adapter">Null: the base alone.</param>
    /// <param name="cancellation">Ends the stream before its next token.</param>
    /// <param name="constraint">What the answer must look like; null: any text.</param>
    /// <param name="calls">How it calls functions; null where it cannot.</param>
    public GenerationStream(BaseModel model, GenerateRequest request, int[] prompt, LoraAdapter? adapter, CancellationToken cancellation, Constraint? constraint = null, ToolCallFormat? calls = null)
    {
        _model = model;
        Prompt = prompt;
        Next = prompt;
        Adapter = adapter;
        Cancellation = cancellation;
        Cache = new KeyValueCache(model.Config);
        Events = new WakingReader(_events.Reader, OnTaken);
        _sampler = new Sampler(request, prompt);
        _writer = new AnswerWriter(model.Tokenizer, request.Stop ?? [], calls, AnswerConstraints.MustCall(request), e => _events.Writer.TryWrite(e));
        _constraint = constraint?.Start();
        _logprobs = request.Logprobs ? new TokenLogprobs(model.Tokenizer, request.TopLogprobs) : null;
        _limit = Math.Min(request.MaxTokens, model.Config.ContextLength - prompt.Length);
        ScoresPrompt = request.Echo && request.Logprobs;
        if (request.Echo)
            _events.Writer.TryWrite(new GenerateEvent.Prompt(Encoding.UTF8.GetString([.. prompt.SelectMany(model.Tokenizer.BytesOf)]), ScoresPrompt ? [_logprobs!.First(prompt[0])] : null));
    }

    public int[] Prompt { get; }
    public LoraAdapter? Adapter { get; }
    public KeyValueCache Cache { get; }
    public CancellationToken Cancellation { get; }

    /// <summary>Tokens to compute next: what is left of the prompt at first, then one at a time.</summary>
    public int[] Next { get; private set; }
    public bool Finished { get; private set; }

    /// <summary>The prompt is not computed yet, or not all of it.</summary>
    public bool IsNew => _answer.Count == 0;

    /// <summary>Each token of the prompt is wanted with its log-probability.</summary>
    public bool ScoresPrompt { get; }

    /// <summary>Go on to the limit: for measuring.</summary>
    public bool IgnoreStop { get; init; }
    public ChannelReader<GenerateEvent> Events { get; }

    /// <summary>The reader is behind: until it has caught up no token is computed.</summary>
    public bool IsUnread => _events.Reader.Count > (_taken < FirstTaken ? 0 : MostUnread);

    /// <summary>When the stream was first seen to be unread; 0 where it is not.</summary>
    public long UnreadSince { get; set; }

    /// <summary>Told by the reader's thread of each event that it takes.</summary>
    public Action? Read { get; set; }

    /// <summary>Given back when the stream is disposed.</summary>
    public AdapterUse? AdapterUse { get; init; }

    /// <summary>Sees the logits of each pass before a token is chosen: for tests.</summary>
    public Action<ReadOnlySpan<float>>? Observer { get; init; }

    /// <summary>Tokens of the prompt and of the longest answer: the last one's keys and values are never computed.</summary>
    public int MostTokens => Prompt.Length + _limit - 1;

    /// <summary>Memory that the keys and values take at most.</summary>
    public long MostCacheBytes => KeyValueCache.BytesFor(_model.Config, MostTokens);

    /// <summary>The prompt's first tokens are known: the first pass computes the rest.</summary>
    public void BeginAfter(IReadOnlyList<CachePage> known, int length)
    {
        Cache.Begin(known, length);
        _cachedTokens = length;
        Next = Prompt[length..];
    }

    /// <summary>The tokens whose keys and values are in the cache.</summary>
    public int[] Known() => [.. Prompt.Concat(_answer).Take(Cache.Length)];

    private void OnTaken()
    {
        if (_taken < FirstTaken)
            _taken++; // there is one reader
        Read?.Invoke();
    }

    /// <summary>A piece of the prompt is in the cache, and more of it is left.</summary>
    public void Compute(int tokens)
    {
        Cache.Length += tokens;
        Next = Next[tokens..];
    }

    /// <summary>Tells of the prompt's tokens behind some of <see cref="Next"/>, as far as there are any.</summary>
    /// <param name="logits">[n, V]</param>
    /// <param name="first">Of these tokens, the place in <see cref="Next"/>.</param>
    public void Score(Matrix logits, int first)
    {
        int[] behind = Next[(first + 1)..Math.Min(first + 1 + logits.Rows, Next.Length)];
        _events.Writer.TryWrite(new GenerateEvent.Prompt("", [.. behind.Select((token, i) => _logprobs!.Of(logits.Row(i), token))]));
    }

    /// <param name="logits">[V], after the tokens of <see cref="Next"/>; is overwritten.</param>
    public void Advance(Span<float> logits)
    {
        Cache.Length += Next.Length;
        Observer?.Invoke(logits);
        TokenMask? mask = _constraint?.Mask();
        if (mask is { Count: 0 })
        {
            Fail("internal", "No token of the model's vocabulary can continue the answer as the schema or the tools demand.");
            return;
        }
        float[]? own = _logprobs is null ? null : logits.ToArray();
        int token = _sampler.Next(logits, mask);
        _answer.Add(token);
        if (!IgnoreStop && _model.StopTokens.Contains(token))
        {
            Finish("stop");
            return;
        }
        _constraint?.Accept(token);
        _writer.Take(token, own is null ? null : _logprobs!.Of(own, token));
        if (_writer.Stopped || _writer.Calls == ToolCallFormat.MostCalls || _constraint is { MustEnd: true })
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
        _writer.End();
        string said = reason == "stop" && _writer.Calls > 0 ? "tool_calls" : reason;
        _events.Writer.TryWrite(new GenerateEvent.Done(said, Prompt.Length, _answer.Count, _cachedTokens));
        _events.Writer.TryComplete();
    }

    public void Dispose()
    {
        Cache.Dispose();
        AdapterUse?.Dispose();
    }

    /// <summary>The channel's reader, which tells of each event that is taken.</summary>
    private sealed class WakingReader(ChannelReader<GenerateEvent> events, Action taken) : ChannelReader<GenerateEvent>
    {
        public override Task Completion => events.Completion;

        public override bool TryRead([MaybeNullWhen(false)] out GenerateEvent item)
        {
            if (!events.TryRead(out item))
                return false;
            taken();
            return true;
        }

        public override ValueTask<bool> WaitToReadAsync(CancellationToken cancellationToken = default) => events.WaitToReadAsync(cancellationToken);
    }
}
