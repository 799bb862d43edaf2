using Hone.Core.Inference;
using Hone.Formats.Inference;
using Hone.Server.Cloudflare;
using Hone.Server.Hosting;
using Hone.Server.Requests;

namespace Hone.Server.OpenAI;

/// <summary><c>/chat/completions</c>.</summary>
internal static class ChatEndpoints
{
    public static void MapChat(this IEndpointRouteBuilder api) =>
        api.MapPost("/chat/completions", CreateAsync).WithSummary("Answer a conversation").WithDescription("stream answers as text/event-stream.")
            .TakesJson(ChatFields.Shape.Schema, OpenAIExamples.Chat).Gives(OpenAIExamples.ChatAnswer, OpenAIJson.Default.ChatView, OpenAIDescription.OfModels).Streams(OpenAIExamples.ChatChunk, OpenAIJson.Default.ChatChunkView);

    private static async Task<IResult> CreateAsync(HttpContext context, RunServices services, TimeProvider clock, CancellationToken cancellationToken)
    {
        var (asked, error) = await AskedModel.ReadAsync(context, services, ChatFields.Shape, cancellationToken);
        if (asked is null)
            return error!;
        var request = ChatFields.Read(asked.Fields);
        var (answers, failed) = await asked.StartAsync(services, [request], cancellationToken);
        if (answers is null)
            return failed!;
        await using (answers)
        {
            var head = new ChatChunkView($"chatcmpl-{Guid.NewGuid():n}", clock.GetUtcNow().ToUnixTimeSeconds(), asked.Name, []);
            if (ChatFields.Stream.Read(asked.Fields))
                return await StreamAsync(context, answers, head, request.Logprobs, ChatFields.IncludesUsage(asked.Fields), cancellationToken);
            var (whole, broken) = await answers.CollectAsync(cancellationToken);
            if (whole is null)
                return broken!;
            return OpenAIAnswers.Of(
                new ChatView(head.Id, head.Created, asked.Name, [.. whole.Select((a, i) => Choice(a, i, request.Logprobs))], Answers.Usage([.. whole.Select(a => a.Done)], asked.N)), OpenAIJson.Default.ChatView);
        }
    }

    private static ChatChoiceView Choice(WholeAnswer answer, int index, bool logprobs)
    {
        bool calls = answer.Calls.Count > 0;
        var message = new ChatMessageView(calls && answer.Text.Length == 0 ? null : answer.Text) { ToolCalls = calls ? [.. answer.Calls.Select(c => Call(c))] : null };
        return new ChatChoiceView(index, message, logprobs ? new LogprobsView([.. answer.Logprobs.Select(LogprobView.Of)]) : null, answer.Done.FinishReason);
    }

    private static ToolCallView Call(GenerateEvent.ToolCall call) => new(call.Id, new FunctionCallView(call.Name, call.Arguments));

    private static async Task<IResult> StreamAsync(HttpContext context, Answers answers, ChatChunkView head, bool logprobs, bool includeUsage, CancellationToken cancellationToken)
    {
        var stream = new ServerSentEvents(context);
        await stream.StartAsync(cancellationToken);
        if (includeUsage)
            head = head with { Usage = TokenUsageView.None };
        var begun = new HashSet<int>();
        var done = new GenerateEvent.Done[answers.Count];
        try
        {
            await foreach (var (index, e) in answers.ReadAsync(cancellationToken))
            {
                if (e is GenerateEvent.Failed failed)
                {
                    await WriteErrorAsync(stream, Answers.Describe(failed), cancellationToken);
                    return Results.Empty;
                }
                if (begun.Add(index))
                    await WriteAsync(index, new DeltaView { Role = "assistant", Content = "" }, null, null);
                switch (e)
                {
                    case GenerateEvent.Token token when token.Text.Length > 0 || token.Logprobs is { Count: > 0 }:
                        await WriteAsync(index, new DeltaView { Content = token.Text }, logprobs ? new LogprobsView([.. (token.Logprobs ?? []).Select(LogprobView.Of)]) : null, null);
                        break;
                    case GenerateEvent.ToolCall call:
                        await WriteAsync(index, new DeltaView { ToolCalls = [Call(call) with { Index = call.Index }] }, null, null);
                        break;
                    case GenerateEvent.Done end:
                        done[index] = end;
                        await WriteAsync(index, new DeltaView(), null, end.FinishReason);
                        break;
                }
            }
            if (includeUsage)
                await stream.WriteAsync(head with { Usage = Answers.Usage(done, answers.Count).AsJson() }, OpenAIJson.Default.ChatChunkView, cancellationToken);
            await stream.WriteDoneAsync(cancellationToken);
        }
        catch (EngineException e)
        {
            // Too late for a status: the stream says it and ends without [DONE].
            await WriteErrorAsync(stream, OpenAIError.From(RequestIdentity.Describe(e), context.Request.Method, context.Request.Path), cancellationToken);
        }
        return Results.Empty;

        Task WriteAsync(int index, DeltaView delta, LogprobsView? of, string? reason) =>
            stream.WriteAsync(head with { Choices = [new ChunkChoiceView(index, delta, of, reason)] }, OpenAIJson.Default.ChatChunkView, cancellationToken);
    }

    public static Task WriteErrorAsync(ServerSentEvents stream, OpenAIError error, CancellationToken cancellationToken) => stream.WriteAsync(error.WriteBody, cancellationToken);
}
