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
    private const long MostBytesAToken = 400_000;

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

        Assert.All(await Task.WhenAll(streams.Select(s => CompletionAsync(s, loop))), last => Assert.IsType<GenerateEvent.Done>(last));

        Assert.InRange(peak, one + 1, 3 * one);
        await EndAsync(loop);
    }

    [Fact]
    public async Task Run_NobodyReads_StreamRestsAndGoesOnWhenRead()
    {
        var generator = new Generator(fixture.Model, fixture.Decoder, maxStreams: 1);
        int computed = 0;
        GenerationStream unread = Start("Count from one to a thousand.", 30, _ => computed++, CancellationToken.None), companion = Start("Name the planets.", 40, null, CancellationToken.None);
        generator.Add(unread);
        generator.Add(companion); // there is one place: it is free while the other one rests
        Task loop = Loop(generator);

        Assert.IsType<GenerateEvent.Done>(await CompletionAsync(companion, loop));
        Assert.Equal(1, computed);

        Assert.Equal(30, Assert.IsType<GenerateEvent.Done>(await CompletionAsync(unread, loop)).CompletionTokens);
        Assert.Equal(30, computed);
        await EndAsync(loop);
    }

    /// <summary>A prompt of many tokens is computed in pieces: the others go on between them, a short one does not wait for it, and it says what it says alone.</summary>
    [Fact]
    public void Bug_LongPrompt_HeldUpAllOtherStreams()
    {
        string prompt = string.Join(' ', Enumerable.Range(0, 300));
        float[] alone = [], beside = [];
        int steady = 0;
        bool said = false, saidFirst = false;
        using GenerationStream first = Start("Count from one to a thousand.", 20, _ => steady++, CancellationToken.None);
        Generator.Pass(fixture.Decoder, [first]);
        using GenerationStream small = Start("Name a colour.", 1, _ => said = true, CancellationToken.None);
        using GenerationStream large = Start(prompt, 1, logits => (beside, saidFirst) = (logits.ToArray(), said), CancellationToken.None);
        Assert.InRange(large.Prompt.Length, 1_000, 2_000);
        while (!large.Finished)
            Generator.Pass(fixture.Decoder, [.. new[] { first, large, small }.Where(s => !s.Finished)]);

        Assert.InRange(steady, 4, 10);
        Assert.True(saidFirst);
        using GenerationStream again = Start(prompt, 1, logits => alone = logits.ToArray(), CancellationToken.None);
        while (!again.Finished)
            Generator.Pass(fixture.Decoder, [again]);
        Assert.Equal(alone, beside);
    }

    [Fact]
    public async Task Run_ReaderHangsUpDuringItsPrompt_TheRestIsNotComputed()
    {
        using CancellationTokenSource hangUp = new();
        var generator = new Generator(fixture.Model, fixture.Decoder);
        int said = 0, computed = 0;
        GenerationStream large = Start(string.Join(' ', Enumerable.Range(0, 600)), 1, _ => said = 100, hangUp.Token);
        GenerationStream first = Start("Count from one to a thousand.", 6, _ =>
        {
            if (++said == 3)
            {
                computed = large.Known().Length;
                hangUp.Cancel();
            }
        }, CancellationToken.None);
        generator.Add(first);
        generator.Add(large);
        Task loop = Loop(generator);

        await CompletionAsync(first, loop);
        await CompletionAsync(large, loop);

        Assert.Equal((6, computed), (said, large.Known().Length));
        Assert.InRange(computed, 1, large.Prompt.Length - 1);
        await EndAsync(loop);
    }

    [Fact]
    public async Task Run_UnreadStreamsHoldAllMemory_TheLongestUnreadMakesRoom()
    {
        long one;
        using (GenerationStream measure = Start("Question 0: what comes next?", 40, null, CancellationToken.None))
            one = measure.MostCacheBytes;
        var generator = new Generator(fixture.Model, fixture.Decoder, maxCacheBytes: 2 * one, patience: TimeSpan.FromSeconds(0.2));
        GenerationStream[] unread = [.. Enumerable.Range(0, 2).Select(i => Start($"Question {i}: what comes next?", 40, null, CancellationToken.None))];
        foreach (GenerationStream stream in unread)
            generator.Add(stream);
        GenerationStream companion = Start("Question 2: what comes next?", 40, null, CancellationToken.None);
        generator.Add(companion);
        Task loop = Loop(generator);

        Assert.IsType<GenerateEvent.Done>(await CompletionAsync(companion, loop));

        GenerateEvent?[] ends = [await CompletionAsync(unread[0], loop), await CompletionAsync(unread[1], loop)];
        Assert.Contains("Read the stream", Assert.Single(ends.OfType<GenerateEvent.Failed>()).Message, StringComparison.Ordinal);
        Assert.Equal(40, Assert.Single(ends.OfType<GenerateEvent.Done>()).CompletionTokens);
        await EndAsync(loop);
    }

    /// <summary>What the engine has computed shows in its pages: a client that does not read has those of its prompt and a few tokens.</summary>
    [Fact]
    public async Task Listen_ClientDoesNotRead_CostsNothingAndGetsAllLater()
    {
        string path = Path.Combine(Path.GetTempPath(), $"hone-{Guid.NewGuid():N}.sock");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        var generator = new Generator(fixture.Model, fixture.Decoder);
        using var adapters = new AdapterStore(fixture.Decoder);
        Task loop = Loop(generator), listen = new EngineServer(generator, adapters).ListenAsync(listener, _stop.Token);
        const string Counting = "one two three four five six seven eight nine ten one two three four five six seven eight nine ten";
        using StreamReader unread = await AskAsync(path, new GenerateRequest { Prompt = Counting, Raw = true, MaxTokens = 200 });
        using (StreamReader other = await AskAsync(path, new GenerateRequest { Prompt = "1 2 3 4 5 6 7 8 9 10 11 12", Raw = true, MaxTokens = 200 }))
        {
            while (await EventAsync(other) is GenerateEvent.Token)
            {
            }
        }
        // The other answer has ended and its pages are kept; of the unread one there is a page of the prompt and the first tokens.
        long bytes = 0;
        GenerationStream probe = Start("Name a colour.", 1, _ => bytes = generator.CacheBytes, CancellationToken.None);
        int pages = (probe.Prompt.Length + KeyValueCache.PageTokens - 1) / KeyValueCache.PageTokens;
        generator.Add(probe);
        await CompletionAsync(probe, loop);
        Assert.InRange(bytes / KeyValueCache.PageBytes(fixture.Model.Config) - pages, 2, 1 + 8);

        int events = 0;
        GenerateEvent last;
        while ((last = await EventAsync(unread)) is GenerateEvent.Token)
            events++;
        Assert.Equal(200, Assert.IsType<GenerateEvent.Done>(last).CompletionTokens);
        Assert.InRange(events, 150, 200);
        await EndAsync(loop);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => listen);
        File.Delete(path);
    }

    /// <summary>A token's managed memory: a steady pass takes none that grows with the vocabulary or the text.</summary>
    [Fact]
    public void Pass_SteadyStream_AllocatesLittle()
    {
        const int Warm = 20, Tokens = 60;
        using GenerationStream stream = Start("Count from one to a thousand.", Warm + Tokens + 2, null, CancellationToken.None);
        for (int i = 0; i < Warm; i++)
            Generator.Pass(fixture.Decoder, [stream]);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Tokens; i++)
            Generator.Pass(fixture.Decoder, [stream]);
        long each = (GC.GetAllocatedBytesForCurrentThread() - before) / Tokens;
        Assert.True(each < MostBytesAToken, $"{each} bytes a token");
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
        using StreamReader stopping = await AskAsync(path, new GenerateRequest { Prompt = "Hi", Tools = JsonElement.Parse("""[{"type":"function","function":{"name":"f"}}]"""), ToolChoice = "required", Stop = ["a"] });
        Assert.Contains("that tool_choice governs", Assert.IsType<GenerateEvent.Failed>(await EventAsync(stopping)).Message, StringComparison.Ordinal);
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => listen);
        File.Delete(path);
    }

    [Fact]
    public async Task Bug_Listen_CancelledBetweenTwoClients_EndsCancelled()
    {
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        using var adapters = new AdapterStore(fixture.Decoder);
        var server = new EngineServer(new Generator(fixture.Model, fixture.Decoder), adapters);
        await _stop.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => server.ListenAsync(listener, _stop.Token));
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
