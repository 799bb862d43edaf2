using System.Text;
using System.Text.Json;
using Hone.Formats.Constraints;
using Hone.Formats.Inference;
using Hone.Formats.ToolCalls;
using Hone.Training.Generation;

namespace Hone.Training.Tests.Generation;

/// <summary>Schemas, calls of functions, stop texts and log-probabilities on the embedded base.</summary>
[Trait("Category", "Slow")]
public sealed class ConstrainedTests(EmbeddedBaseFixture fixture) : IClassFixture<EmbeddedBaseFixture>
{
    private const string Person = """{"type":"object","properties":{"name":{"type":"string","maxLength":20},"age":{"type":"integer","minimum":0,"maximum":120},"mood":{"enum":["glad","sad"]}},"required":["name","age","mood"]}""";

    private const string Tools = """
        [{"type":"function","function":{"name":"get_weather","description":"The weather of a city.","parameters":{"type":"object","properties":{"city":{"type":"string","maxLength":30},"unit":{"enum":["celsius","fahrenheit"]}},"required":["city"]}}},
         {"type":"function","function":{"name":"get_time","description":"The time in a time zone.","parameters":{"type":"object","properties":{"zone":{"type":"string","pattern":"^[A-Z]{3}$"}},"required":["zone"]}}}]
        """;

    private readonly AnswerConstraints _constraints = new(fixture.Model);

    [Theory]
    [InlineData(0, null)]
    [InlineData(1.5, 7L)]
    [InlineData(1.5, 8L)]
    public void Advance_Schema_AnswerSatisfiesIt(double temperature, long? seed)
    {
        List<GenerateEvent> events = Answer(new GenerateRequest { Prompt = "Describe a person as JSON.", Schema = JsonElement.Parse(Person), Temperature = temperature, Seed = seed, MaxTokens = 150, FrequencyPenalty = 0.5 });
        JsonElement person = JsonElement.Parse(Text(events));
        Assert.Equal("stop", Done(events).FinishReason);
        Assert.Equal(["name", "age", "mood"], person.EnumerateObject().Select(p => p.Name));
        Assert.InRange(person.GetProperty("age").GetInt32(), 0, 120);
        Assert.InRange(person.GetProperty("name").GetString()!.EnumerateRunes().Count(), 0, 20);
        Assert.Contains(person.GetProperty("mood").GetString(), (string[])["glad", "sad"]);
    }

    [Fact]
    public void Advance_SchemaBeyondMaxTokens_EndsWithLength()
    {
        List<GenerateEvent> events = Answer(new GenerateRequest { Prompt = "Describe a person as JSON.", Schema = JsonElement.Parse(Person), MaxTokens = 4 });
        Assert.Equal(("length", 4), (Done(events).FinishReason, Done(events).CompletionTokens));
    }

    [Fact]
    public void Advance_ConstrainedBesideOthers_SaysTheSameAsAlone()
    {
        GenerateRequest[] requests =
        [
            new() { Prompt = "Describe a person as JSON.", Schema = JsonElement.Parse(Person), Temperature = 1, Seed = 3, MaxTokens = 60 },
            new() { Prompt = "Name three colours.", Temperature = 1, Seed = 4, MaxTokens = 30 },
            new() { Prompt = "A list of numbers.", Schema = JsonElement.Parse("""{"type":"array","items":{"type":"integer"},"maxItems":5}"""), Temperature = 1, Seed = 5, MaxTokens = 40 },
        ];
        string[] alone = [.. requests.Select(r => Text(Answer(r)))];
        GenerationStream[] streams = [.. requests.Select(Start)];
        while (streams.Any(s => !s.Finished))
            Generator.Pass(fixture.Decoder, [.. streams.Where(s => !s.Finished)]);
        Assert.Equal(alone, streams.Select(s => Text(Drain(s))));
        Assert.Equal(alone[0], Text(Answer(requests[0])));
    }

    [Theory]
    [InlineData("required", true)]
    [InlineData("required", false)]
    [InlineData("get_time", true)]
    public void Advance_ToolChoice_CallsWithSoundArguments(string choice, bool parallel)
    {
        List<GenerateEvent> events = Answer(new GenerateRequest { Prompt = "What is the weather in Paris?", Tools = JsonElement.Parse(Tools), ToolChoice = choice, ParallelToolCalls = parallel, Temperature = 1, Seed = 11, MaxTokens = 400 });
        GenerateEvent.ToolCall[] calls = [.. events.OfType<GenerateEvent.ToolCall>()];
        Assert.Equal("", Text(events));
        Assert.NotEmpty(calls);
        Assert.Equal(Enumerable.Range(0, calls.Length), calls.Select(c => c.Index));
        Assert.Equal(calls.Length, calls.Select(c => c.Id).Distinct().Count());
        foreach (GenerateEvent.ToolCall call in calls)
        {
            JsonElement arguments = JsonElement.Parse(call.Arguments);
            if (call.Name == "get_time")
                Assert.Matches("^[A-Z]{3}$", arguments.GetProperty("zone").GetString());
            else
                Assert.True(arguments.GetProperty("city").GetString()!.Length <= 60);
        }
        if (choice == "get_time")
            Assert.Equal("get_time", Assert.Single(calls).Name);
        if (!parallel)
            Assert.Single(calls);
        if (Done(events).CompletionTokens < 400)
            Assert.Equal("tool_calls", Done(events).FinishReason);
    }

    /// <summary>The beginning of a call that was cut off is no text.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(12)]
    public void Bug_CallCutOffInItsMark_WasText(int tokens)
    {
        List<GenerateEvent> events = Answer(new GenerateRequest { Prompt = "What is the weather in Paris?", Tools = JsonElement.Parse(Tools), ToolChoice = "required", MaxTokens = tokens });
        Assert.Equal(("", "length", tokens), (Text(events), Done(events).FinishReason, Done(events).CompletionTokens));
    }

    /// <summary>A model that never comes to an end by itself.</summary>
    [Fact]
    public void Bug_CallsWithoutAnEnd_CameUntilTheContextWasFull()
    {
        using GenerationStream stream = Start(new GenerateRequest
        {
            Prompt = "Go.",
            Tools = JsonElement.Parse("""[{"type":"function","function":{"name":"go"}}]"""),
            ToolChoice = "required",
            MaxTokens = 8000,
            LogitBias = fixture.Model.StopTokens.ToDictionary(t => t, _ => -100.0),
        });
        float[] logits = new float[fixture.Model.Config.VocabularySize];
        while (!stream.Finished)
        {
            Array.Clear(logits);
            stream.Advance(logits);
        }
        List<GenerateEvent> events = Drain(stream);
        Assert.Equal((ToolCallFormat.MostCalls, "tool_calls"), (events.OfType<GenerateEvent.ToolCall>().Count(), Done(events).FinishReason));
    }

    [Fact]
    public void Advance_AutoAndNone_CallOnlyWhereTheModelMay()
    {
        // What the model would say by itself after its own tag: led there by the prompt.
        var request = new GenerateRequest { Prompt = "Repeat exactly this and nothing else: <tool_call>", Tools = JsonElement.Parse(Tools), MaxTokens = 40 };
        List<GenerateEvent> none = Answer(request with { ToolChoice = "none" });
        Assert.DoesNotContain("<tool_call>", Text(none), StringComparison.Ordinal);
        Assert.Empty(none.OfType<GenerateEvent.ToolCall>());
        List<GenerateEvent> auto = Answer(request with { MaxTokens = 120 });
        Assert.DoesNotContain("<tool_call>", Text(auto), StringComparison.Ordinal);
        foreach (GenerateEvent.ToolCall call in auto.OfType<GenerateEvent.ToolCall>())
            Assert.Contains(call.Name, (string[])["get_weather", "get_time"]);
    }

    [Fact]
    public void Advance_StopAcrossTokens_EndsBeforeIt()
    {
        string whole = Text(Answer(new GenerateRequest { Prompt = "Count: one, two, three", MaxTokens = 40 }));
        // From the middle of a word into the next one.
        int at = whole.IndexOf(' ', 5) - 2;
        string stop = whole.Substring(at, 5);
        List<GenerateEvent> events = Answer(new GenerateRequest { Prompt = "Count: one, two, three", MaxTokens = 40, Stop = ["never said", stop], Logprobs = true });
        Assert.Equal(whole[..whole.IndexOf(stop, StringComparison.Ordinal)], Text(events));
        Assert.Equal("stop", Done(events).FinishReason);
        string covered = Encoding.UTF8.GetString([.. events.OfType<GenerateEvent.Token>().SelectMany(t => t.Logprobs ?? []).SelectMany(l => l.Bytes)]);
        Assert.StartsWith(Text(events), covered, StringComparison.Ordinal);
        Assert.True(covered.Length < Text(events).Length + stop.Length + 10);
    }

    [Fact]
    public void Advance_Logprobs_AreThoseOfTheModelsOwnDistribution()
    {
        var logits = new List<float[]>();
        var request = new GenerateRequest { Prompt = "Name a colour.", MaxTokens = 12, Temperature = 1.3, RepetitionPenalty = 1.4, Seed = 2, Logprobs = true, TopLogprobs = 5 };
        using GenerationStream stream = Start(request, observer: l => logits.Add(l.ToArray()));
        List<GenerateEvent> events = Finish(stream);
        TokenLogprob[] entries = [.. events.OfType<GenerateEvent.Token>().SelectMany(t => t.Logprobs ?? [])];
        Assert.Equal(Text(events), Encoding.UTF8.GetString([.. entries.SelectMany(e => e.Bytes)]));
        Assert.InRange(entries.Length, 1, logits.Count);
        foreach ((TokenLogprob entry, float[] own) in entries.Zip(logits))
        {
            double normalizer = Math.Log(own.Sum(l => Math.Exp(l - own.Max()))) + own.Max();
            int[] best = [.. Enumerable.Range(0, own.Length).OrderByDescending(t => own[t]).Take(5)];
            Assert.Equal(best.Select(t => own[t] - normalizer), entry.Top!.Select(t => t.Logprob), (a, b) => Math.Abs(a - b) < 1e-4);
            Assert.Equal(best.Select(t => fixture.Model.Tokenizer.BytesOf(t)), entry.Top!.Select(t => t.Bytes));
            Assert.Contains(own.Select(l => l - normalizer), l => Math.Abs(l - entry.Logprob) < 1e-4);
        }
    }

    private GenerationStream Start(GenerateRequest request) => Start(request, null);

    private GenerationStream Start(GenerateRequest request, Action<ReadOnlySpan<float>>? observer)
    {
        Constraint? constraint = _constraints.For(request);
        int[] prompt = PromptEncoder.Encode(fixture.Model, request, CancellationToken.None);
        return new GenerationStream(fixture.Model, request, prompt, null, CancellationToken.None, constraint, AnswerConstraints.MayCall(request) ? _constraints.Format : null) { Observer = observer };
    }

    private List<GenerateEvent> Answer(GenerateRequest request)
    {
        using GenerationStream stream = Start(request);
        return Finish(stream);
    }

    private List<GenerateEvent> Finish(GenerationStream stream)
    {
        while (!stream.Finished)
            Generator.Pass(fixture.Decoder, [stream]);
        return Drain(stream);
    }

    private static List<GenerateEvent> Drain(GenerationStream stream)
    {
        var events = new List<GenerateEvent>();
        while (stream.Events.TryRead(out GenerateEvent? next))
            events.Add(next);
        return events;
    }

    private static string Text(List<GenerateEvent> events) => string.Concat(events.OfType<GenerateEvent.Token>().Select(t => t.Text));

    private static GenerateEvent.Done Done(List<GenerateEvent> events) => Assert.IsType<GenerateEvent.Done>(events[^1]);
}
