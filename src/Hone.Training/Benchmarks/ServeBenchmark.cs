using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Hone.Formats.Inference;
using Hone.Formats.Jobs;
using Hone.Formats.Models;
using Hone.Training.Generation;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Model;
using Hone.Training.Training;
using TorchSharp;
using Decoder = Hone.Training.Model.Decoder;

namespace Hone.Training.Benchmarks;

/// <summary>
/// <c>hone bench serve</c>: an engine as the server has it, asked over its socket. What is measured is what a client sees, with everything between: template, tokenizer,
/// queue, model, sampler and JSON.
/// </summary>
public static class ServeBenchmark
{
    private const int Streams = 8, Adapters = 4, FirstTokenPrompt = 100, Repeats = 5;
    private const string Text = "Explain in a few sentences how a sailing ship can move against the wind, and why it cannot sail straight into it. ";

    /// <summary>An answer to this goes on and on.</summary>
    private const string Endless = "one two three four five six seven eight nine ten one two three four five six seven eight nine ten";

    public static ServeFigures Run(string modelPath, int tokens, int promptTokens, int? threads, bool asStored)
    {
        Cores.Use(threads ?? Environment.ProcessorCount);
        string folder = Directory.CreateTempSubdirectory("hone-bench-").FullName;
        try
        {
            using BaseModel model = BaseModel.Open(modelPath);
            using Decoder decoder = DecoderLoader.Load(model, asStored);
            for (int i = 0; i < Adapters; i++)
                WriteAdapter(Path.Combine(folder, $"{i}"), model, decoder, i);
            return Run(model, decoder, folder, tokens, promptTokens);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static ServeFigures Run(BaseModel model, Decoder decoder, string folder, int tokens, int promptTokens)
    {
        string socket = Path.Combine(folder, "engine.sock");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(socket));
        listener.Listen();
        using var stop = new CancellationTokenSource();
        var generator = new Generator(model, decoder);
        using var adapters = new AdapterStore(decoder);
        Task listen = new EngineServer(generator, adapters).ListenAsync(listener, stop.Token);
        Task generate = Task.Factory.StartNew(() => generator.Run(stop.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

        var ask = new Client(socket, model);
        LoadMilliseconds(adapters, Adapter(folder, 0) with { AdapterKey = "first" }); // compiled
        double[] loads = [.. Enumerable.Range(0, Adapters).Select(i => LoadMilliseconds(adapters, Adapter(folder, i)))];
        ask.Many(Streams, tokens, i => Adapter(folder, i % Adapters)); // compiled, and the threads awake
        ask.Prompt(FirstTokenPrompt);
        long allocated = GC.GetTotalAllocatedBytes(precise: true);
        (double one, int count) = ask.Many(1, tokens, _ => null);
        double bytes = (double)(GC.GetTotalAllocatedBytes(precise: true) - allocated) / count;
        (double eight, _) = ask.Many(Streams, tokens, i => Adapter(folder, i % Adapters));
        double prompt = promptTokens / Median([.. Enumerable.Range(0, 3).Select(_ => ask.Prompt(promptTokens))]);
        double first = Median([.. Enumerable.Range(0, Repeats).Select(_ => ask.Prompt(FirstTokenPrompt))]) * 1000;

        stop.Cancel();
        generate.GetAwaiter().GetResult();
        try
        {
            listen.GetAwaiter().GetResult();
        }
        catch (OperationCanceledException)
        {
        }
        return new ServeFigures(one, eight, eight / one, prompt, first, loads.Max(), bytes, Cores.Count);
    }

    private static GenerateRequest Adapter(string folder, int number) => new() { AdapterPath = Path.Combine(folder, $"{number}"), AdapterKey = $"{number}" };

    private static double LoadMilliseconds(AdapterStore adapters, GenerateRequest request)
    {
        long began = Stopwatch.GetTimestamp();
        adapters.TakeAsync(request).GetAwaiter().GetResult()!.Dispose();
        return Stopwatch.GetElapsedTime(began).TotalMilliseconds;
    }

    /// <summary>Rank 8 on all linear layers, with a small effect.</summary>
    private static void WriteAdapter(string folder, BaseModel model, Decoder decoder, int seed)
    {
        TrainSettings settings = TrainSettings.Resolve(new TrainingConfig { Rank = 8, Alpha = 16, BatchSize = 1, NEpochs = 1, LearningRate = 1e-4, Seed = seed }, model.Config, "bench", 1, 1, false);
        using LoraAdapter adapter = PeftAdapter.Create(settings, model, decoder);
        adapter.Initialize(seed);
        using var scope = torch.NewDisposeScope();
        foreach (LoraMatrices matrices in adapter.Matrices())
            matrices.B.copy_(torch.rand(matrices.B.shape).PlusInPlace(-0.5).TimesInPlace(1e-4));
        Directory.CreateDirectory(folder);
        PeftAdapter.Save(folder, adapter, settings, model, "bench", null);
    }

    private static double Median(double[] values)
    {
        Array.Sort(values);
        return values[values.Length / 2];
    }

    /// <summary>A client of the engine's socket.</summary>
    private sealed class Client(string path, BaseModel model)
    {
        private int _asked;

        /// <summary>Seconds to the first token after a prompt of so many tokens that begins like no other.</summary>
        public double Prompt(int tokens)
        {
            string text = $"{_asked++} " + string.Concat(Enumerable.Repeat(Text, tokens / 20 + 1));
            // Cut where the tokenizer gives exactly so many.
            int[] ids = model.Tokenizer.Encode(text, addSpecialTokens: true).Ids[..tokens];
            text = model.Tokenizer.Decode(ids);
            return AskAsync(new GenerateRequest { Prompt = text, Raw = true, MaxTokens = 1 }).GetAwaiter().GetResult().Seconds;
        }

        /// <summary>Tokens a second behind the first one, over all streams, and their number.</summary>
        public (double PerSecond, int Tokens) Many(int streams, int tokens, Func<int, GenerateRequest?> adapter)
        {
            Answer[] answers = Task.WhenAll(Enumerable.Range(0, streams).Select(i => Task.Run(() => AskAsync(new GenerateRequest
            {
                Prompt = Endless,
                Raw = true,
                MaxTokens = tokens + 1,
                AdapterPath = adapter(i)?.AdapterPath,
                AdapterKey = adapter(i)?.AdapterKey,
            })))).GetAwaiter().GetResult();
            return (answers.Sum(a => (a.Tokens - 1) / (a.Seconds - a.FirstSeconds)), answers.Sum(a => a.Tokens));
        }

        private async Task<Answer> AskAsync(GenerateRequest request)
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path)).ConfigureAwait(false);
            var stream = new NetworkStream(socket);
            long began = Stopwatch.GetTimestamp();
            await stream.WriteAsync(Encoding.UTF8.GetBytes(JsonSerializer.Serialize(request, EngineJson.Default.GenerateRequest) + "\n")).ConfigureAwait(false);
            using var reader = new StreamReader(stream);
            double? first = null;
            while (await reader.ReadLineAsync().ConfigureAwait(false) is { } line)
            {
                first ??= Stopwatch.GetElapsedTime(began).TotalSeconds;
                switch (JsonSerializer.Deserialize(line, EngineJson.Default.GenerateEvent))
                {
                    case GenerateEvent.Done done: return new Answer(first.Value, Stopwatch.GetElapsedTime(began).TotalSeconds, done.CompletionTokens);
                    case GenerateEvent.Failed failed: throw new InvalidOperationException(failed.Message);
                }
            }
            throw new EndOfStreamException("The engine closed the connection.");
        }

        private readonly record struct Answer(double FirstSeconds, double Seconds, int Tokens);
    }
}

/// <param name="DecodeTokensPerS">One greedy stream, behind its first token.</param>
/// <param name="Decode8TokensPerS">Eight streams with four adapters in one batch, their total.</param>
/// <param name="Decode8ToOne">That over one stream's.</param>
/// <param name="PromptTokensPerS">A long prompt, to its first token.</param>
/// <param name="FirstTokenMs">From the request to the first token after a prompt of 100 tokens that begins like no other.</param>
/// <param name="AdapterLoadMs">The slowest of four of rank 8 on all linear layers.</param>
/// <param name="AllocatedBytesPerToken">Managed memory a decoded token, client included.</param>
public sealed record ServeFigures(
    double DecodeTokensPerS,
    [property: JsonPropertyName("decode_8_tokens_per_s")] double Decode8TokensPerS,
    [property: JsonPropertyName("decode_8_to_one")] double Decode8ToOne,
    double PromptTokensPerS,
    double FirstTokenMs,
    double AdapterLoadMs,
    double AllocatedBytesPerToken,
    int Threads);
