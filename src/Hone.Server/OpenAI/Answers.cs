using System.Runtime.CompilerServices;
using System.Text;
using System.Threading.Channels;
using Hone.Core.Finetunes;
using Hone.Core.Inference;
using Hone.Formats.Inference;
using Hone.Server.Auth;
using Hone.Server.Cloudflare;
using Hone.Server.Requests;

namespace Hone.Server.OpenAI;

/// <summary>A model's name, found: the base to run, and the adapter with it.</summary>
/// <param name="Base">The base model's id.</param>
internal sealed record RunnableModel(string Base, string? AdapterPath, string? AdapterKey)
{
    public static async Task<(RunnableModel? Model, OpenAIError? Error)> FindAsync(HttpContext context, RunServices services, string name, CancellationToken cancellationToken)
    {
        if (await services.Models.FindAsync(name, cancellationToken) is not null)
            return (new RunnableModel(name, null, null), null);
        if (await services.Finetunes.FindModelAsync(context.Caller().AccountId, name, cancellationToken) is not var (finetune, checkpoint))
            return (null, OpenAIError.ModelNotFound(name));
        if (checkpoint is not null)
        {
            var then = await services.Adapters.GetAsync(checkpoint, cancellationToken);
            return (new RunnableModel(finetune.Model, then.Path, then.Key), null);
        }
        if (finetune.State is not FinetuneState.Ready || await services.Adapters.GetAsync(finetune.Id, cancellationToken) is not { } adapter)
            return (null, OpenAIError.ModelNotReady(name, JobViews.Status(finetune)));
        return (new RunnableModel(finetune.Model, adapter.Path, adapter.Key), null);
    }
}

/// <summary>How a request for answers begins: its body, and the model that it names.</summary>
/// <param name="N">Answers to a prompt.</param>
internal sealed record AskedModel(BodyFields Fields, string Name, RunnableModel Model, int N)
{

    public static async Task<(AskedModel? Asked, OpenAIError? Error)> ReadAsync(HttpContext context, RunServices services, BodyShape shape, CancellationToken cancellationToken)
    {
        var (fields, error) = await OpenAIBody.ReadAsync(context, GenerateRequest.LongestBody, shape, ChatFields.Inert, cancellationToken);
        if (fields is null)
            return (null, error);
        string name = ChatFields.Model.Read(fields)!;
        var (model, notFound) = await RunnableModel.FindAsync(context, services, name, cancellationToken);
        return model is null ? (null, notFound) : (new AskedModel(fields, name, model, (int)ChatFields.N.Read(fields)!.Value), null);
    }

    /// <param name="prompts">Each is answered <see cref="N"/> times.</param>
    public Task<(Answers? Answers, OpenAIError? Error)> StartAsync(RunServices services, IEnumerable<GenerateRequest> prompts, CancellationToken cancellationToken) =>
        Answers.StartAsync(services, Model.Base, Answers.Repeat(prompts.Select(p => p with { AdapterPath = Model.AdapterPath, AdapterKey = Model.AdapterKey }), N), cancellationToken);
}

/// <summary>One of the answers, whole.</summary>
/// <param name="Prompt">Empty where its echo was not asked for.</param>
internal sealed record WholeAnswer(GenerateEvent.Prompt Prompt, string Text, IReadOnlyList<TokenLogprob> Logprobs, IReadOnlyList<GenerateEvent.ToolCall> Calls, GenerateEvent.Done Done);

/// <summary>The answers to one request: computed at once, told apart by their index. Disposing stops those that are under way.</summary>
internal sealed class Answers : IAsyncDisposable
{
    private readonly CancellationTokenSource stop;
    private readonly Channel<(int Index, GenerateEvent Event)> events = Channel.CreateBounded<(int, GenerateEvent)>(new BoundedChannelOptions(64) { SingleReader = true });
    private readonly Task running;
    private readonly List<IDisposable> turns = [];

    private Answers(RunServices services, string model, IReadOnlyList<GenerateRequest> requests, CancellationToken cancellationToken)
    {
        stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Count = requests.Count;
        running = RunAsync(services, model, requests);
    }

    public int Count { get; }

    /// <summary>Each prompt that many times; with a seed, each answer to a prompt has one of its own.</summary>
    public static IReadOnlyList<GenerateRequest> Repeat(IEnumerable<GenerateRequest> prompts, int n) =>
        [.. prompts.SelectMany(p => Enumerable.Range(0, n).Select(i => p.Seed is { } seed ? p with { Seed = unchecked(seed + i) } : p))];

    /// <summary>Begins. The first event decides whether the answer has a status of its own: it is awaited here, and given again by <see cref="ReadAsync"/>.</summary>
    public static async Task<(Answers? Answers, OpenAIError? Error)> StartAsync(RunServices services, string model, IReadOnlyList<GenerateRequest> requests, CancellationToken cancellationToken)
    {
        var answers = new Answers(services, model, requests, cancellationToken);
        try
        {
            if (!await answers.events.Reader.WaitToReadAsync(cancellationToken))
                await answers.running;
            if (answers.events.Reader.TryPeek(out var first) && first.Event is GenerateEvent.Failed failed)
            {
                await answers.DisposeAsync();
                return (null, Describe(failed));
            }
            return (answers, null);
        }
        catch
        {
            await answers.DisposeAsync();
            throw;
        }
    }

    /// <summary>All events as they come. Throws <see cref="EngineException"/> where an engine breaks.</summary>
    public async IAsyncEnumerable<(int Index, GenerateEvent Event)> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var next in events.Reader.ReadAllAsync(cancellationToken))
            yield return next;
        await running;
    }

    /// <summary>The answers in order, or the first failure.</summary>
    public async Task<(IReadOnlyList<WholeAnswer>? Answers, OpenAIError? Error)> CollectAsync(CancellationToken cancellationToken)
    {
        var texts = Enumerable.Range(0, Count).Select(_ => new StringBuilder()).ToArray();
        var logprobs = Enumerable.Range(0, Count).Select(_ => new List<TokenLogprob>()).ToArray();
        var calls = Enumerable.Range(0, Count).Select(_ => new List<GenerateEvent.ToolCall>()).ToArray();
        var prompts = Enumerable.Range(0, Count).Select(_ => (Text: "", Logprobs: new List<TokenLogprob>())).ToArray();
        var done = new GenerateEvent.Done?[Count];
        await foreach (var (index, e) in ReadAsync(cancellationToken))
        {
            switch (e)
            {
                case GenerateEvent.Prompt prompt:
                    prompts[index].Text += prompt.Text;
                    prompts[index].Logprobs.AddRange(prompt.Logprobs ?? []);
                    break;
                case GenerateEvent.Token token:
                    texts[index].Append(token.Text);
                    logprobs[index].AddRange(token.Logprobs ?? []);
                    break;
                case GenerateEvent.ToolCall call:
                    calls[index].Add(call);
                    break;
                case GenerateEvent.Done end:
                    done[index] = end;
                    break;
                case GenerateEvent.Failed failed:
                    return (null, Describe(failed));
            }
        }
        return Array.IndexOf(done, null) >= 0
            ? (null, new OpenAIError(500, "The engine ended in the middle of the answer.", null, null, "server_error"))
            : ([.. Enumerable.Range(0, Count).Select(i => new WholeAnswer(new GenerateEvent.Prompt(prompts[i].Text, prompts[i].Logprobs), texts[i].ToString(), logprobs[i], calls[i], done[i]!))], null);
    }

    /// <summary>Several answers to one prompt count it once.</summary>
    /// <param name="n">Answers to a prompt.</param>
    public static TokenUsageView Usage(IReadOnlyList<GenerateEvent.Done> done, int n)
    {
        int prompt = done.Where((_, i) => i % n == 0).Sum(d => d.PromptTokens), answer = done.Sum(d => d.CompletionTokens);
        return new TokenUsageView(prompt, answer, prompt + answer, new PromptDetailsView(done.Where((_, i) => i % n == 0).Sum(d => d.CachedTokens)));
    }

    public static OpenAIError Describe(GenerateEvent.Failed failed) => failed.Code switch
    {
        "bad_input" => new(400, failed.Message),
        "too_long" => new(400, failed.Message, null, "context_length_exceeded"),
        "bad_adapter" => new(400, failed.Message, "model"),
        _ => new(500, failed.Message, null, null, "server_error"),
    };

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        stop.Dispose();
    }

    private async Task RunAsync(RunServices services, string model, IReadOnlyList<GenerateRequest> requests)
    {
        Exception? broken = null;
        try
        {
            foreach (var _ in requests)
            {
                if (services.Load.Enter(model, alone: false) is { } turn)
                    turns.Add(turn);
            }
            await Task.WhenAll(requests.Select((request, index) => RunOneAsync(services, model, index, request)));
        }
        catch (Exception e)
        {
            broken = e;
            throw;
        }
        finally
        {
            turns.ForEach(t => t.Dispose());
            events.Writer.TryComplete(broken);
        }
    }

    private async Task RunOneAsync(RunServices services, string model, int index, GenerateRequest request)
    {
        try
        {
            await foreach (var e in services.Engines.GenerateAsync(model, request, stop.Token))
                await events.Writer.WriteAsync((index, e), stop.Token);
        }
        catch
        {
            // The others are of no use without it.
            await stop.CancelAsync();
            throw;
        }
    }
}
