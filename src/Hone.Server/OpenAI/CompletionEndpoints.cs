using System.Text.Json;
using Hone.Core.Inference;
using Hone.Formats.Inference;
using Hone.Server.Cloudflare;
using Hone.Server.Hosting;
using Hone.Server.Requests;

namespace Hone.Server.OpenAI;

/// <summary><c>/completions</c>: texts to go on from, without a chat template.</summary>
internal static class CompletionEndpoints
{
    private const int DefaultTokens = 16;

    private static readonly SpecialField Prompt = new("prompt", "A text, or the model's own tokens by number, or up to 16 of either.", """{"type":["string","array"],"items":{"type":["string","integer","array"],"items":{"type":"integer"}}}""", (fields, value) =>
    {
        if (!IsPrompt(value) && (value.ValueKind is not JsonValueKind.Array || value.GetArrayLength() is 0 or > ChatFields.MaxChoices || !value.EnumerateArray().All(IsPrompt)))
            fields.Fail("prompt", $"'prompt' must be a text, a list of the model's tokens by number, or 1 to {ChatFields.MaxChoices} of either, none of them empty");
    });
    private static readonly FlagField Echo = new("echo", "Begins the answer with the prompt.");
    private static readonly IntegerField Logprobs = new("logprobs", "Each token with its log-probability, and so many likeliest ones in its place.", 0, 5);
    private static readonly IntegerField BestOf = new("best_of", "Only the value of n.", 1, ChatFields.MaxChoices);
    private static readonly SpecialField Suffix = new("suffix", "Not offered.", """{"type":"null"}""", (fields, _) =>
        fields.Fail("suffix", "'suffix' is not offered: the models go on from a text, they do not fill gaps. Leave it out"));

    private static readonly BodyShape Shape = new(
        "Texts to go on from.",
        [
            ChatFields.Model, Prompt, ChatFields.Stream, ChatFields.StreamOptions, ChatFields.Temperature, ChatFields.TopP, ChatFields.TopK, ChatFields.RepetitionPenalty, ChatFields.FrequencyPenalty,
            ChatFields.PresencePenalty, ChatFields.Seed, ChatFields.N, ChatFields.MaxTokens, ChatFields.Stop, ChatFields.LogitBias, Echo, Logprobs, BestOf, Suffix,
        ],
        ChatFields.StreamRule,
        new BodyRule("""{"required":["model","prompt"]}""", fields =>
        {
            foreach (string name in (string[])["model", "prompt"])
            {
                if (!fields.Has(name))
                    fields.Fail(name, $"you must provide a {name} parameter");
            }
        }),
        new BodyRule("{}", fields =>
        {
            if (BestOf.Read(fields) is { } best && best != (ChatFields.N.Read(fields) ?? 1))
                fields.Fail("best_of", "'best_of' is not offered: each of the 'n' answers is given");
        }));

    public static void MapCompletions(this IEndpointRouteBuilder api) =>
        api.MapPost("/completions", CreateAsync).WithSummary("Go on from a text").WithDescription("stream answers as text/event-stream.")
            .TakesJson(Shape.Schema, OpenAIExamples.Complement).Gives(OpenAIExamples.Completion, OpenAIJson.Default.CompletionView, OpenAIDescription.OfModels).Streams(OpenAIExamples.Completion with { Usage = null }, OpenAIJson.Default.CompletionView);

    private static async Task<IResult> CreateAsync(HttpContext context, RunServices services, TimeProvider clock, CancellationToken cancellationToken)
    {
        var (asked, error) = await AskedModel.ReadAsync(context, services, Shape, cancellationToken);
        if (asked is null)
            return error!;
        var fields = asked.Fields;
        int n = asked.N;
        var given = Prompt.Read(fields)!.Value;
        JsonElement[] prompts = IsPrompt(given) ? [given] : [.. given.EnumerateArray()];
        if (prompts.Length * n > ChatFields.MaxChoices)
            return new OpenAIError(400, $"{prompts.Length} prompts with {n} answers each are {prompts.Length * n} answers; {ChatFields.MaxChoices} are allowed.", "n");
        long? logprobs = Logprobs.Read(fields);
        bool echo = Echo.Read(fields);
        var requests = prompts.Select(prompt => ChatFields.Sampling(fields) with
        {
            Prompt = TextOf(prompt),
            PromptTokens = TextOf(prompt) is null ? [.. prompt.EnumerateArray().Select(t => t.GetInt32())] : null,
            Echo = echo && (logprobs is not null || TextOf(prompt) is null),
            Raw = true,
            MaxTokens = (int)(ChatFields.MaxTokens.Read(fields) ?? DefaultTokens),
            Logprobs = logprobs is not null,
            TopLogprobs = (int)(logprobs ?? 0),
        });
        var (answers, failed) = await asked.StartAsync(services, requests, cancellationToken);
        if (answers is null)
            return failed!;
        await using (answers)
        {
            var head = new CompletionView($"cmpl-{Guid.NewGuid():n}", clock.GetUtcNow().ToUnixTimeSeconds(), asked.Name, []);
            // A text comes back as it was given; of tokens the engine knows the text.
            string?[] begins = [.. Enumerable.Range(0, answers.Count).Select(i => echo ? TextOf(prompts[i / n]) : "")];
            if (ChatFields.Stream.Read(fields))
                return await StreamAsync(context, answers, head, begins, n, ChatFields.IncludesUsage(fields), cancellationToken);
            var (whole, broken) = await answers.CollectAsync(cancellationToken);
            if (whole is null)
                return broken!;
            return OpenAIAnswers.Of(
                head with
                {
                    Choices = [.. whole.Select((a, i) => new CompletionChoiceView(
                        i, (begins[i] ?? a.Prompt.Text) + a.Text, logprobs is null ? null : Flat([.. a.Prompt.Logprobs ?? [], .. a.Logprobs], 0), a.Done.FinishReason))],
                    Usage = Answers.Usage([.. whole.Select(a => a.Done)], n).AsJson(),
                }, OpenAIJson.Default.CompletionView);
        }
    }

    /// <summary>A text, or tokens.</summary>
    private static bool IsPrompt(JsonElement value) => value.ValueKind is JsonValueKind.String ? JsonBody.LengthOf(value) > 0
        : value.ValueKind is JsonValueKind.Array && value.GetArrayLength() > 0 && value.EnumerateArray().All(t => t.ValueKind is JsonValueKind.Number && t.TryGetInt32(out _));

    private static string? TextOf(JsonElement prompt) => prompt.ValueKind is JsonValueKind.String ? prompt.GetString() : null;

    /// <summary>The likeliest of each place, and the one that was taken.</summary>
    /// <param name="offset">Characters of the text before these tokens.</param>
    private static FlatLogprobsView Flat(IReadOnlyList<TokenLogprob> tokens, int offset)
    {
        var offsets = new List<int>();
        foreach (var token in tokens)
        {
            offsets.Add(offset);
            offset += token.Token.Length;
        }
        return new FlatLogprobsView(
            [.. tokens.Select(t => t.Token)], [.. tokens.Select(t => t.Top is null ? (double?)null : t.Logprob)],
            [.. tokens.Select(t => (IReadOnlyDictionary<string, double>)(t.Top?.Append(t) ?? []).DistinctBy(a => a.Token).ToDictionary(a => a.Token, a => a.Logprob))], offsets);
    }

    private static async Task<IResult> StreamAsync(HttpContext context, Answers answers, CompletionView head, string?[] begins, int n, bool includeUsage, CancellationToken cancellationToken)
    {
        var stream = new ServerSentEvents(context);
        await stream.StartAsync(cancellationToken);
        if (includeUsage)
            head = head with { Usage = TokenUsageView.None };
        int[] offsets = new int[answers.Count];
        var done = new GenerateEvent.Done[answers.Count];
        try
        {
            for (int i = 0; i < begins.Length; i++)
            {
                if (begins[i] is { Length: > 0 } text)
                    await WriteAsync(i, text, null, null);
            }
            await foreach (var (index, e) in answers.ReadAsync(cancellationToken))
            {
                switch (e)
                {
                    case GenerateEvent.Prompt prompt:
                        await WriteTokensAsync(index, begins[index] is null ? prompt.Text : "", prompt.Logprobs);
                        break;
                    case GenerateEvent.Token token when token.Text.Length > 0 || token.Logprobs is { Count: > 0 }:
                        await WriteTokensAsync(index, token.Text, token.Logprobs);
                        break;
                    case GenerateEvent.Done end:
                        done[index] = end;
                        await WriteAsync(index, "", null, end.FinishReason);
                        break;
                    case GenerateEvent.Failed failed:
                        await ChatEndpoints.WriteErrorAsync(stream, Answers.Describe(failed), cancellationToken);
                        return Results.Empty;
                }
            }
            if (includeUsage)
                await stream.WriteAsync(head with { Usage = Answers.Usage(done, n).AsJson() }, OpenAIJson.Default.CompletionView, cancellationToken);
            await stream.WriteDoneAsync(cancellationToken);
        }
        catch (EngineException e)
        {
            await ChatEndpoints.WriteErrorAsync(stream, OpenAIError.From(RequestIdentity.Describe(e), context.Request.Method, context.Request.Path), cancellationToken);
        }
        return Results.Empty;

        Task WriteTokensAsync(int index, string text, IReadOnlyList<TokenLogprob>? tokens)
        {
            FlatLogprobsView? logprobs = tokens is null ? null : Flat(tokens, offsets[index]);
            offsets[index] += (tokens ?? []).Sum(t => t.Token.Length);
            return WriteAsync(index, text, logprobs, null);
        }

        Task WriteAsync(int index, string text, FlatLogprobsView? logprobs, string? reason) =>
            stream.WriteAsync(head with { Choices = [new CompletionChoiceView(index, text, logprobs, reason)] }, OpenAIJson.Default.CompletionView, cancellationToken);
    }
}
