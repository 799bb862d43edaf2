using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Client;

namespace Hone.Quickstart;

/// <summary>Shares from 0 to 1.</summary>
/// <param name="Exact">Answers equal to the expected one, character by character, but for white space around them.</param>
/// <param name="Intent">Answers that are JSON with the expected <c>intent</c>.</param>
internal sealed record Score(double Exact, double Intent);

/// <summary>What one model answered to the questions, in their order.</summary>
internal sealed record Evaluation(IReadOnlyList<Question> Questions, IReadOnlyList<string> Answers)
{
    /// <summary>Requests in flight: the engine answers them in one batch.</summary>
    private const int InFlight = 24;

    private const int MaxTokens = 24;

    public int Exact => Questions.Zip(Answers).Count(pair => IsExact(pair.First, pair.Second));

    public int Intent => Questions.Zip(Answers).Count(pair => IntentOf(pair.Second) is { } intent && intent == IntentOf(pair.First.Expected));

    public Score Score => new((double)Exact / Questions.Count, (double)Intent / Questions.Count);

    public static bool IsExact(Question question, string answer) => answer.Trim() == question.Expected;

    /// <param name="lora">Null: the base model alone.</param>
    /// <param name="answered">Called after each answer.</param>
    public static async Task<Evaluation> AskAsync(
        HoneClient client, string model, string? lora, IReadOnlyList<Question> questions, Action answered, CancellationToken cancellationToken)
    {
        string[] answers = new string[questions.Count];
        await Parallel.ForEachAsync(
            Enumerable.Range(0, questions.Count),
            new ParallelOptions { MaxDegreeOfParallelism = InFlight, CancellationToken = cancellationToken },
            async (i, cancel) =>
            {
                var request = new RunRequest { Messages = [new("user", questions[i].Text)], Lora = lora, Temperature = 0, MaxTokens = MaxTokens };
                answers[i] = (await client.RunAsync(model, request, cancel)).Response;
                answered();
            });
        return new Evaluation(questions, answers);
    }

    private static string? IntentOf(string answer)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(answer);
            return json.RootElement.ValueKind == JsonValueKind.Object
                && json.RootElement.TryGetProperty("intent", out JsonElement intent) && intent.ValueKind == JsonValueKind.String ? intent.GetString() : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

/// <summary>The last line of <c>hone quickstart --json</c>.</summary>
internal sealed record QuickstartResult(Score Base, Score Adapter, double TrainSeconds, double TotalSeconds, string AdapterDir);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(QuickstartResult))]
internal sealed partial class QuickstartJson : JsonSerializerContext;
