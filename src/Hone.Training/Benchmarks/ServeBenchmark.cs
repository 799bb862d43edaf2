using System.Diagnostics;
using System.Text.Json.Serialization;
using Hone.Formats.Inference;
using Hone.Formats.Models;
using Hone.Training.Generation;
using Hone.Training.Kernels;
using Hone.Training.Model;
using TorchSharp;

namespace Hone.Training.Benchmarks;

/// <summary><c>hone bench serve</c>: greedy decoding on the base model, one stream and eight in one batch.</summary>
public static class ServeBenchmark
{
    private const string Prompt = "Explain in a few sentences how a sailing ship can move against the wind, and why it cannot sail straight into it.";

    public static ServeFigures Run(string modelPath, int tokens, int? threads, bool asStored)
    {
        Cores.Use(threads ?? Environment.ProcessorCount);
        using BaseModel model = BaseModel.Open(modelPath);
        using Decoder decoder = DecoderLoader.Load(model, asStored);
        Decode(model, decoder, 1, 4); // warm
        (double prefill, double one) = Decode(model, decoder, 1, tokens);
        (_, double eight) = Decode(model, decoder, 8, tokens);
        return new ServeFigures(one, eight, prefill, Cores.Count);
    }

    /// <returns>Prompt tokens a second, and tokens a second over all streams after the prompt.</returns>
    private static (double Prompt, double Decode) Decode(BaseModel model, Decoder decoder, int streams, int tokens)
    {
        // A token that ends the answer would end the measurement: it is counted in passes, not in text.
        var request = new GenerateRequest { Prompt = Prompt, MaxTokens = tokens };
        int[] ids = PromptEncoder.Encode(model, request, CancellationToken.None);
        GenerationStream[] active = [.. Enumerable.Range(0, streams).Select(_ => new GenerationStream(model, request, ids, null, CancellationToken.None) { IgnoreStop = true })];
        long began = Stopwatch.GetTimestamp();
        Generator.Pass(decoder, active);
        double prefill = ids.Length * streams / Stopwatch.GetElapsedTime(began).TotalSeconds;
        began = Stopwatch.GetTimestamp();
        int passes = 0;
        for (; !active[0].Finished; passes++)
            Generator.Pass(decoder, active);
        double rate = streams * passes / Stopwatch.GetElapsedTime(began).TotalSeconds;
        foreach (GenerationStream stream in active)
            stream.Dispose();
        return (prefill, rate);
    }
}

/// <param name="DecodeTokensPerS">One greedy stream.</param>
/// <param name="Decode8TokensPerS">Eight streams in one batch, their total.</param>
public sealed record ServeFigures(double DecodeTokensPerS, [property: JsonPropertyName("decode_8_tokens_per_s")] double Decode8TokensPerS, double PromptTokensPerS, int Threads);
