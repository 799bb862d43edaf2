using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Hone.Formats.Inference;
using Hone.Training.Generation;

namespace Hone.Training.Tests.Generation;

/// <summary>The engine's loop on the embedded base: who joins, who leaves, and how much memory they take together.</summary>
[Trait("Category", "Slow")]
public sealed class GeneratorTests(EmbeddedBaseFixture fixture) : IClassFixture<EmbeddedBaseFixture>
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3);

    private readonly CancellationTokenSource _stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);

    [Fact]
    public async Task Run_ReaderHangsUp_NoFurtherTokenIsComputed()
    {
        var generator = new Generator(fixture.Model, fixture.Decoder);
        using CancellationTokenSource hangUp = new(), neverRead = new();
        int computed = 0, computedUnread = 0, beside = 0;
        GenerationStream abandoned = Start("Count from one to a thousand.", 500, _ =>
        {
            if (++computed == 3)
                hangUp.Cancel();
        }, hangUp.Token);
        GenerationStream companion = Start("Name the planets.", 6, _ => beside++, CancellationToken.None);
        GenerationStream unread = Start("Name the seas.", 6, _ => computedUnread++, neverRead.Token);
        await neverRead.CancelAsync();
        generator.Add(abandoned);
        generator.Add(unread);
        generator.Add(companion);
        Task loop = Loop(generator);

        await CompletionAsync(companion, loop);
        await CompletionAsync(abandoned, loop);
        await CompletionAsync(unread, loop);

        Assert.Equal((3, 6, 0), (computed, beside, computedUnread));
        await EndAsync(loop);
    }

    [Fact]
    public async Task Listen_ClientHangsUp_ItsPlaceIsFree()
    {
        string path = Path.Combine(Path.GetTempPath(), $"hone-{Guid.NewGuid():N}.sock");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        var generator = new Generator(fixture.Model, fixture.Decoder, maxStreams: 1);
        using var adapters = new AdapterStore(fixture.Decoder);
        Task loop = Loop(generator), listen = new EngineServer(generator, adapters).ListenAsync(listener, _stop.Token);
        // One place, taken for hundreds of seconds.
        using (StreamReader first = await AskAsync(path, new GenerateRequest { Prompt = "1 2 3 4 5 6 7 8 9 10 11 12", Raw = true, MaxTokens = 8000 }))
            Assert.IsType<GenerateEvent.Token>(await EventAsync(first));

        using StreamReader second = await AskAsync(path, new GenerateRequest { Prompt = "Name a colour.", MaxTokens = 1 });
        GenerateEvent answer = await EventAsync(second);
        while (answer is GenerateEvent.Token)
            answer = await EventAsync(second);

        Assert.Equal(1, Assert.IsType<GenerateEvent.Done>(answer).CompletionTokens);
        await EndAsync(loop);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => listen);
        File.Delete(path);
    }

    [Fact]
    public async Task Run_ManyStreams_StayWithinTheBoundAndAllAreAnswered()
    {
        long one;
        using (GenerationStream measure = Start("Question 0: what comes next?", 40, null, CancellationToken.None))
            one = measure.MostCacheBytes;
        var generator = new Generator(fixture.Model, fixture.Decoder, maxCacheBytes: 3 * one);
        long peak = 0;
        GenerationStream[] streams = [.. Enumerable.Range(0, 9).Select(i => Start($"Question {i}: what comes next?", 40, _ => peak = Math.Max(peak, generator.CacheBytes), CancellationToken.None))];
        Assert.All(streams, s => Assert.Equal(one, s.MostCacheBytes));
        foreach (GenerationStream stream in streams)
            generator.Add(stream);
        Task loop = Loop(generator);

        foreach (GenerationStream stream in streams)
            Assert.IsType<GenerateEvent.Done>(await CompletionAsync(stream, loop));

        Assert.InRange(peak, one + 1, 3 * one);
        await EndAsync(loop);
    }

    [Fact]
    public async Task Listen_AnswerThatCannotFit_IsRefusedWithWhatToDo()
    {
        string path = Path.Combine(Path.GetTempPath(), $"hone-{Guid.NewGuid():N}.sock");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        var generator = new Generator(fixture.Model, fixture.Decoder, maxCacheBytes: 8 << 20);
        using var adapters = new AdapterStore(fixture.Decoder);
        Task listen = new EngineServer(generator, adapters).ListenAsync(listener, _stop.Token);

        using StreamReader reader = await AskAsync(path, new GenerateRequest { Prompt = "Tell a long story.", MaxTokens = 1000 });
        var failed = Assert.IsType<GenerateEvent.Failed>(await EventAsync(reader));

        Assert.Equal("too_long", failed.Code);
        Assert.Contains("8 MiB", failed.Message, StringComparison.Ordinal);
        Assert.Contains("max_tokens", failed.Message, StringComparison.Ordinal);
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => listen);
        File.Delete(path);
    }

    private GenerationStream Start(string question, int tokens, Action<ReadOnlySpan<float>>? observer, CancellationToken cancellation)
    {
        var request = new GenerateRequest { Prompt = question, MaxTokens = tokens };
        return new GenerationStream(fixture.Model, request, PromptEncoder.Encode(fixture.Model, request, CancellationToken.None), null, cancellation) { IgnoreStop = true, Observer = observer };
    }

    private Task Loop(Generator generator) => Task.Factory.StartNew(() => generator.Run(_stop.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private async Task EndAsync(Task loop)
    {
        await _stop.CancelAsync();
        await loop.WaitAsync(s_patience);
        _stop.Dispose();
    }

    /// <returns>The last event.</returns>
    private static async Task<GenerateEvent?> CompletionAsync(GenerationStream stream, Task loop)
    {
        async Task<GenerateEvent?> ReadAsync()
        {
            GenerateEvent? last = null;
            await foreach (GenerateEvent next in stream.Events.ReadAllAsync())
                last = next;
            return last;
        }
        Task<GenerateEvent?> read = ReadAsync();
        if (await Task.WhenAny(read, loop).WaitAsync(s_patience) == loop)
            await loop;
        return await read;
    }

    private static async Task<StreamReader> AskAsync(string path, GenerateRequest request)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        var stream = new NetworkStream(socket, ownsSocket: true);
        await stream.WriteAsync(Encoding.UTF8.GetBytes(JsonSerializer.Serialize(request, EngineJson.Default.GenerateRequest) + "\n"));
        return new StreamReader(stream);
    }

    private static async Task<GenerateEvent> EventAsync(StreamReader reader) =>
        JsonSerializer.Deserialize((await reader.ReadLineAsync().WaitAsync(s_patience))!, EngineJson.Default.GenerateEvent)!;
}
