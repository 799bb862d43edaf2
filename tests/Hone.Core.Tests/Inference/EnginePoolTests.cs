using System.Diagnostics;
using System.Globalization;
using System.Threading.Channels;
using Hone.Core.Inference;
using Hone.Core.Models;
using Hone.Core.Tests.Processes;
using Hone.Formats.Inference;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace Hone.Core.Tests.Inference;

[Trait("Category", "Native")]
public sealed class EnginePoolTests : IDisposable
{
    private readonly ScriptedChild _scripted = new("[engine]\n");
    private readonly Lines _log = new();

    private static CancellationToken Now => TestContext.Current.CancellationToken;

    public void Dispose() => _scripted.Dispose();

    [Fact]
    public async Task Generate_TwoRequests_AreAnsweredByOneEngine()
    {
        await using EnginePool pool = Pool();

        List<GenerateEvent> events = await AskAsync(pool, "say hello world");

        Assert.Equal([new GenerateEvent.Token("hello"), new GenerateEvent.Token("world"), new GenerateEvent.Done("stop", 3, 2)], events);
        Assert.Equal(await ProcessAsync(pool), await ProcessAsync(pool));
    }

    [Fact]
    public async Task Generate_EngineRefuses_IsItsLastEventAndNoCrash()
    {
        await using EnginePool pool = Pool();

        Assert.Equal([new GenerateEvent.Failed("too_long", "The prompt is too long.")], await AskAsync(pool, "refuse"));
    }

    [Fact]
    public async Task Generate_UnknownModel_NamesIt()
    {
        await using EnginePool pool = Pool();

        var error = await Assert.ThrowsAsync<ModelNotFoundException>(() => AskAsync(pool, "say x", model: "@cf/no/such"));
        Assert.Equal("@cf/no/such", error.ModelId);
    }

    [Fact]
    public async Task Generate_EngineKilledMidRequest_FailsThatRequestAndServesTheNext()
    {
        await using EnginePool pool = Pool();
        int first = await ProcessAsync(pool);

        var error = await Assert.ThrowsAsync<EngineCrashedException>(() => AskAsync(pool, "crash"));

        Assert.Contains("signal SIGKILL", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("engine: out of luck", error.Message, StringComparison.Ordinal);
        Assert.Contains("its last words: engine: out of luck", await _log.LineWithAsync("signal SIGKILL"), StringComparison.Ordinal);
        int second = await ProcessAsync(pool);
        Assert.NotEqual(first, second);
        Assert.False(ScriptedChild.IsRunning(first));
    }

    /// <summary>Signals of a service manager go to the server's whole process group: the engine may end before the server knows that it shall.</summary>
    [Fact]
    public async Task Bug_EngineThatWasAskedToEnd_WasACrash()
    {
        await using EnginePool pool = Pool();
        var error = await Assert.ThrowsAsync<EngineUnavailableException>(() => AskAsync(pool, "end"));
        Assert.Contains("was asked to end", error.Message, StringComparison.Ordinal);
        Assert.IsType<GenerateEvent.Done>((await AskAsync(pool, "say again"))[^1]);
    }

    [Fact]
    public async Task Generate_EngineHangs_FailsThatRequestAndServesTheNext()
    {
        var clock = new FakeTimeProvider();
        await using EnginePool pool = Pool(clock: clock);
        int first = await ProcessAsync(pool);
        using (var stop = Process.Start("kill", ["-STOP", first.ToString(CultureInfo.InvariantCulture)]))
            await stop.WaitForExitAsync(Now);

        Task<List<GenerateEvent>> asked = AskAsync(pool, "say x");
        while (!asked.IsCompleted)
        {
            clock.Advance(TimeSpan.FromMinutes(2));
            await Task.WhenAny(asked, Task.Delay(50, Now));
        }

        var error = await Assert.ThrowsAsync<EngineCrashedException>(() => asked);
        Assert.Contains("gave no sign of life for 120 s", error.Message, StringComparison.Ordinal);
        Assert.True(await ScriptedChild.IsGoneAsync(first));
        Assert.NotEqual(first, await ProcessAsync(pool));
    }

    [Fact]
    public async Task Generate_ClientReadsNothingForLong_EngineIsNotTakenToHang()
    {
        var clock = new FakeTimeProvider();
        await using EnginePool pool = Pool(clock: clock);
        string gone = _scripted.MakeFifo("gone");
        int first = await ProcessAsync(pool);

        await using (await HoldAsync(pool, gone))
        {
            for (int minutes = 0; minutes < 10; minutes++)
                clock.Advance(TimeSpan.FromMinutes(1));
            Assert.Equal(first, await ProcessAsync(pool));
        }
        await ScriptedChild.HearAsync(gone);
    }

    [Theory]
    [InlineData("cut", "closed the connection")]
    [InlineData("garbage", "no event")]
    public async Task Generate_EngineBreaksItsProtocol_IsACrashForTheRequest(string prompt, string said)
    {
        await using EnginePool pool = Pool();

        var error = await Assert.ThrowsAsync<EngineCrashedException>(() => AskAsync(pool, prompt));
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Generate_Cancelled_ClosesTheConnectionSoThatTheEngineStops()
    {
        await using EnginePool pool = Pool();
        string gone = _scripted.MakeFifo("gone");
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(Now);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (GenerateEvent _ in pool.GenerateAsync("m", new GenerateRequest { Prompt = $"hold {gone}" }, cancel.Token))
                await cancel.CancelAsync();
        });

        await ScriptedChild.HearAsync(gone);
    }

    [Fact]
    public async Task Generate_ReaderStopsEarly_ClosesTheConnection()
    {
        await using EnginePool pool = Pool();
        string gone = _scripted.MakeFifo("gone");

        await foreach (GenerateEvent _ in pool.GenerateAsync("m", new GenerateRequest { Prompt = $"hold {gone}" }, Now))
            break;

        await ScriptedChild.HearAsync(gone);
    }

    [Fact]
    public async Task Generate_MoreThanTheLimit_IsBusyUntilOneEnds()
    {
        await using EnginePool pool = Pool(s => s with { MaxRequests = 2 });
        string one = _scripted.MakeFifo("one"), two = _scripted.MakeFifo("two");
        await using IAsyncEnumerator<GenerateEvent> first = await HoldAsync(pool, one);
        await using (await HoldAsync(pool, two))
        {
            await Assert.ThrowsAsync<EngineBusyException>(() => AskAsync(pool, "say x"));
        }
        await ScriptedChild.HearAsync(two);

        Assert.Equal(2, (await AskAsync(pool, "say x")).Count);
    }

    [Fact]
    public async Task Generate_EngineThatEndsAtStart_SaysWhyInTheLogAndRestsAfterFour()
    {
        _scripted.Rewrite("[engine]\nexit 3");
        await using EnginePool pool = Pool();
        for (int i = 0; i < 4; i++)
        {
            var error = await Assert.ThrowsAsync<EngineUnavailableException>(() => AskAsync(pool, "say x"));
            Assert.Contains("exit code 3", error.Message, StringComparison.Ordinal);
            Assert.DoesNotContain("model.gguf", error.Message, StringComparison.Ordinal);
            string line = await _log.LineWithAsync("exit code 3");
            Assert.Contains("model.gguf", line, StringComparison.Ordinal);
            Assert.Contains("broken at byte 17", line, StringComparison.Ordinal);
        }

        var resting = await Assert.ThrowsAsync<EngineUnavailableException>(() => AskAsync(pool, "say x"));

        Assert.Contains("rests", resting.Message, StringComparison.Ordinal);
        Assert.InRange(resting.RetryAfter, TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(30));
    }

    [Theory]
    [InlineData("silent", "not ready within")]
    [InlineData("garbage", "broke its protocol")]
    public async Task Generate_EngineNeverReady_IsUnavailableAndGone(string how, string said)
    {
        _scripted.Rewrite($"[engine]\n{how}");
        await using EnginePool pool = Pool(s => s with { StartLimit = TimeSpan.FromSeconds(3) });

        var error = await Assert.ThrowsAsync<EngineUnavailableException>(() => AskAsync(pool, "say x"));

        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Generate_AfterIdleTime_IsAnsweredByAnotherEngine()
    {
        await using EnginePool pool = Pool(s => s with { StopWhenIdle = TimeSpan.FromMilliseconds(20) });
        int first = await ProcessAsync(pool);

        Assert.True(await ScriptedChild.IsGoneAsync(first));

        Assert.NotEqual(first, await ProcessAsync(pool));
    }

    [Fact]
    public async Task Bug_AllAskersGoneBeforeTheEngineIsReady_ItEndsWhenIdle()
    {
        string fifo = _scripted.MakeFifo("starting");
        _scripted.Rewrite($"[engine]\nafter {fifo}");
        await using EnginePool pool = Pool(s => s with { StopWhenIdle = TimeSpan.FromMilliseconds(20) });
        using (var asker = new CancellationTokenSource(TimeSpan.FromMilliseconds(50)))
            await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await pool.GenerateAsync("m", new GenerateRequest { Prompt = "say x" }, asker.Token).GetAsyncEnumerator(asker.Token).MoveNextAsync());

        int process = int.Parse(await File.ReadAllTextAsync(fifo, Now), CultureInfo.InvariantCulture);

        Assert.True(await ScriptedChild.IsGoneAsync(process));
    }

    [Fact]
    public async Task Generate_ModelFileReplaced_IsAnsweredByAnotherEngineAndTheFirstEndsWhenIdle()
    {
        string model = Path.Combine(_scripted.Folder, "model.gguf"), gone = _scripted.MakeFifo("gone");
        await File.WriteAllTextAsync(model, "one", Now);
        await using EnginePool pool = Pool(model: model);
        int first = await ProcessAsync(pool), second;
        await using (await HoldAsync(pool, gone))
        {
            await File.WriteAllTextAsync(model, "another", Now);
            second = await ProcessAsync(pool);

            Assert.NotEqual(first, second);
            Assert.True(ScriptedChild.IsRunning(first));
        }
        Assert.True(await ScriptedChild.IsGoneAsync(first));

        File.Delete(model);
        Assert.Equal(second, await ProcessAsync(pool));
        await using EnginePool another = Pool(model: model);
        await Assert.ThrowsAsync<ModelUnavailableException>(() => ProcessAsync(another));
    }

    [Fact]
    public async Task Dispose_RunningEngine_LeavesNoProcessAndNoSocket()
    {
        int process;
        string note = Path.Combine(_scripted.Folder, "engine-sockets"), sockets;
        await using (EnginePool pool = Pool())
        {
            process = await ProcessAsync(pool);
            sockets = await File.ReadAllTextAsync(note, Now);
            Assert.True(Directory.Exists(sockets));
        }

        Assert.False(ScriptedChild.IsRunning(process));
        Assert.False(Directory.Exists(sockets));
        Assert.False(File.Exists(note));
    }

    /// <summary>Not another folder's, whose note a copy of the data has.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Construct_AfterAKilledServer_RemovesItsSockets(bool isOwn)
    {
        DirectoryInfo left = Directory.CreateTempSubdirectory("hone-engine-");
        await File.WriteAllTextAsync(Path.Combine(left.FullName, "owner"), isOwn ? _scripted.Folder : left.FullName, Now);
        await File.WriteAllTextAsync(Path.Combine(_scripted.Folder, "engine-sockets"), left.FullName, Now);

        await using EnginePool pool = Pool();

        Assert.Equal(!isOwn, Directory.Exists(left.FullName));
        if (!isOwn)
            left.Delete(recursive: true);
    }

    [Fact]
    public async Task Bug_SocketFolderThatACleanerTook_EndedAllAnswers()
    {
        await using EnginePool pool = Pool();
        int first = await ProcessAsync(pool);
        Directory.Delete(await File.ReadAllTextAsync(Path.Combine(_scripted.Folder, "engine-sockets"), Now), recursive: true);

        Assert.NotEqual(first, await ProcessAsync(pool));
    }

    private EnginePool Pool(Func<EngineSettings, EngineSettings>? change = null, string? model = null, TimeProvider? clock = null)
    {
        if (model is null)
            File.WriteAllText(model = Path.Combine(_scripted.Folder, "model.gguf"), "");
        var settings = new EngineSettings { DataFolder = _scripted.Folder, Executable = _scripted.Executable };
        return new EnginePool((id, _) => Task.FromResult(id == "m" ? model : null), change?.Invoke(settings) ?? settings, _log, clock ?? TimeProvider.System);
    }

    private static async Task<List<GenerateEvent>> AskAsync(EnginePool pool, string prompt, string model = "m")
    {
        var events = new List<GenerateEvent>();
        await foreach (GenerateEvent next in pool.GenerateAsync(model, new GenerateRequest { Prompt = prompt }, Now))
            events.Add(next);
        return events;
    }

    private static async Task<int> ProcessAsync(EnginePool pool) =>
        int.Parse(((GenerateEvent.Token)(await AskAsync(pool, "whoami"))[0]).Text, CultureInfo.InvariantCulture);

    private static async Task<IAsyncEnumerator<GenerateEvent>> HoldAsync(EnginePool pool, string fifo)
    {
        IAsyncEnumerator<GenerateEvent> events = pool.GenerateAsync("m", new GenerateRequest { Prompt = $"hold {fifo}" }, Now).GetAsyncEnumerator(Now);
        Assert.True(await events.MoveNextAsync());
        return events;
    }

    private sealed class Lines : ILogger<EnginePool>
    {
        private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Assert.True(_lines.Writer.TryWrite(formatter(state, exception)));

        /// <summary>The next line that has the text.</summary>
        public async Task<string> LineWithAsync(string text) =>
            await _lines.Reader.ReadAllAsync(Now).FirstAsync(line => line.Contains(text, StringComparison.Ordinal), Now).AsTask().WaitAsync(TimeSpan.FromSeconds(30), Now);
    }
}
