using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Formats.Constraints;
using Hone.Formats.Models;

namespace Hone.Training.Benchmarks;

/// <summary><c>hone bench grammar</c>: what a schema costs: once a model, once a schema, and at each token. The answers are random tokens that the schema allows.</summary>
public static class GrammarBenchmark
{
    private static readonly string[] s_kinds =
    [
        """{"type":"string","maxLength":80}""", """{"type":"integer","minimum":0,"maximum":1000}""", """{"enum":["low","middle","high"]}""", """{"type":"array","items":{"type":"string","format":"date"},"maxItems":4}""",
        """{"type":"object","properties":{"x":{"type":"number"},"y":{"type":"string","pattern":"^[a-z]{3,12}$"}},"required":["x","y"]}""",
    ];

    public static GrammarFigures Run(string modelPath, int properties, int tokens)
    {
        using BaseModel model = BaseModel.Open(modelPath);
        JsonElement schema = Schema(properties);
        long began = Stopwatch.GetTimestamp();
        var vocabulary = new TokenVocabulary(model);
        double vocabularyMs = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        Constraint.Json(Schema(3), vocabulary).Start().Mask(); // compiles the code
        began = Stopwatch.GetTimestamp();
        Constraint constraint = Constraint.Json(schema, vocabulary);
        double compileMs = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
        List<double> first = Decode(constraint, model.StopTokens, tokens, seed: 1), again = Decode(constraint, model.StopTokens, tokens, seed: 1), other = Decode(constraint, model.StopTokens, tokens, seed: 2);
        return new GrammarFigures(compileMs, first.Average(), At(first, 0.99), again.Average(), At(again, 0.99), other.Average(), vocabularyMs, first.Count);
    }

    private static JsonElement Schema(int properties)
    {
        var all = new JsonObject();
        for (int i = 0; i < properties; i++)
            all[$"property_{i}"] = JsonNode.Parse(s_kinds[i % s_kinds.Length]);
        return JsonSerializer.SerializeToElement(new JsonObject { ["type"] = "object", ["properties"] = all, ["required"] = new JsonArray([.. all.Where((_, i) => i % 2 == 0).Select(p => (JsonNode)p.Key)]) });
    }

    /// <returns>Milliseconds of each token: its mask, and going on behind it.</returns>
    private static List<double> Decode(Constraint constraint, IReadOnlyCollection<int> stops, int tokens, int seed)
    {
        var random = new SplitMix64(seed, "grammar");
        var times = new List<double>();
        ConstraintState state = constraint.Start();
        while (times.Count < tokens)
        {
            if (state.MustEnd)
                state = constraint.Start();
            long began = Stopwatch.GetTimestamp();
            TokenMask mask = state.Mask();
            double ms = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
            int size = mask.Bits.Length * 64, token = (int)(random.NextDouble() * size);
            while (!mask[token] || stops.Contains(token))
                token = (token + 1) % size;
            began = Stopwatch.GetTimestamp();
            state.Accept(token);
            times.Add(ms + Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }
        return times;
    }

    private static double At(List<double> times, double share) => times.Order().ElementAt((int)((times.Count - 1) * share));
}

/// <param name="CompileMs">Schema → automaton, the first mask included.</param>
/// <param name="TokenMs">Mean of the first answers, whose states are new.</param>
/// <param name="TokenP99Ms">Of these the slowest but one in a hundred.</param>
/// <param name="KnownTokenMs">Mean of the same answers again.</param>
/// <param name="KnownTokenP99Ms">Of these the slowest but one in a hundred.</param>
/// <param name="OtherTokenMs">Mean of other answers after them.</param>
/// <param name="VocabularyMs">Once a model: its tokens as a trie.</param>
/// <param name="Tokens">Measured each time.</param>
public sealed record GrammarFigures(double CompileMs, double TokenMs, double TokenP99Ms, double KnownTokenMs, double KnownTokenP99Ms, double OtherTokenMs, double VocabularyMs, int Tokens);
