using System.Globalization;
using System.Text;
using Hone.Core.Processes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hone.Core.Tests.Processes;

[Trait("Category", "Native")]
public sealed class ChildProcessTests
{
    private static CancellationToken Now => TestContext.Current.CancellationToken;

    [Fact]
    public async Task ReadLines_ManyWrites_ComeInOrderAndWithoutAnUnfinishedOne()
    {
        using var scripted = new ScriptedChild($"[train]\nout one\nout {new string('y', 200_000)}\nout three\nexit 3");
        await using ChildProcess child = scripted.Start("train", scripted.Folder);

        List<string> lines = await LinesAsync(child);

        Assert.Equal(["one", new string('y', 200_000), "three"], lines);
        ChildExit exit = await child.Exited;
        Assert.Equal("exit code 3", exit.ToString());
        Assert.False(child.WasKilled);
    }

    [Fact]
    public async Task ReadLines_LineOverTheLimit_IsAnErrorAndNotMemory()
    {
        using var scripted = new ScriptedChild("[train]\nlong 1048576\nlong 1048577\nhang");
        await using ChildProcess child = scripted.Start("train", scripted.Folder);

        await using IAsyncEnumerator<ReadOnlyMemory<byte>> lines = child.ReadLinesAsync(Now).GetAsyncEnumerator(Now);

        Assert.True(await lines.MoveNextAsync());
        Assert.Equal(ChildProcess.MaxLineBytes, lines.Current.Length);
        var error = await Assert.ThrowsAsync<ChildProtocolException>(async () => await lines.MoveNextAsync());
        Assert.Contains("1048576", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Kill_ChildWithDescendants_EndsTheWholeGroup()
    {
        using var scripted = new ScriptedChild("[train]\nspawn\ndeaf");
        await using ChildProcess child = scripted.Start("train", scripted.Folder);
        int descendant = 0;
        await foreach (ReadOnlyMemory<byte> line in child.ReadLinesAsync(Now))
        {
            descendant = int.Parse(line.Span, CultureInfo.InvariantCulture);
            break;
        }
        Assert.True(ScriptedChild.IsRunning(descendant));

        ChildExit exit = await child.KillAsync();

        Assert.Equal("signal SIGKILL", exit.ToString());
        Assert.True(child.WasKilled);
        Assert.True(await ScriptedChild.IsGoneAsync(descendant));
    }

    [Fact]
    public async Task Stop_ChildThatHeedsItsLifeLine_EndsByItself()
    {
        using var scripted = new ScriptedChild("[train]\nout up\nhang");
        await using ChildProcess child = scripted.Start("train", scripted.Folder);
        await FirstLineAsync(child);

        ChildExit exit = await child.StopAsync(ScriptedChild.Patience);

        Assert.Equal(70, exit.Code);
        Assert.False(child.WasKilled);
    }

    [Fact]
    public async Task Stop_DeafChild_IsKilledAfterTheGrace()
    {
        using var scripted = new ScriptedChild("[train]\nout up\ndeaf");
        await using ChildProcess child = scripted.Start("train", scripted.Folder);
        await FirstLineAsync(child);

        ChildExit exit = await child.StopAsync(TimeSpan.FromMilliseconds(50));

        Assert.True(exit.LooksLikeOutOfMemory);
        Assert.True(child.WasKilled);
    }

    /// <summary>Whoever watches an engine and whoever finds it dead at a connect both see to its end.</summary>
    [Fact]
    public async Task Bug_Stop_EndedAndDisposedElsewhere_ReturnsItsExit()
    {
        using var scripted = new ScriptedChild("[train]\nexit 3");
        ChildProcess child = scripted.Start("train", scripted.Folder);
        await child.Exited;
        await child.DisposeAsync();

        Assert.Equal("exit code 3", (await child.StopAsync(TimeSpan.FromSeconds(1))).ToString());
        await child.DisposeAsync();
        Assert.False(child.WasKilled);
    }

    [Fact]
    public async Task LastErrors_ManyLines_AreTheLastAndNoMoreThanAskedFor()
    {
        string errors = string.Join('\n', Enumerable.Range(1, 300).Select(i => $"err {i} {new string('e', 500)}"));
        using var scripted = new ScriptedChild($"[train]\n{errors}\nerr last words\nexit 1");
        await using ChildProcess child = scripted.Start("train", scripted.Folder);
        await child.Exited;

        Assert.Equal("last words", child.LastErrors(1));
        Assert.StartsWith("299 e", child.LastErrors(3), StringComparison.Ordinal);
        Assert.InRange(child.LastErrors(1000).Length, 60_000, 65_536);
    }

    [Fact]
    public async Task Start_SecretsInTheEnvironment_DoNotReachTheChild()
    {
        var secrets = new Dictionary<string, string>
        {
            ["HONE_TOKEN"] = "hone_x",
            ["CLOUDFLARE_API_TOKEN"] = "x",
            ["DATABASE_URL"] = "postgres://u:p@h/d",
            ["DOTNET_ConnectionStrings__Main"] = "x",
            ["AWS_SECRET_ACCESS_KEY"] = "x",
            ["HONE_LIBTORCH"] = "/opt/torch",
            ["LC_ALL"] = "C.UTF-8",
        };
        string[] before = [.. secrets.Keys.Where(k => Environment.GetEnvironmentVariable(k) is not null)];
        try
        {
            foreach ((string name, string value) in secrets)
                Environment.SetEnvironmentVariable(name, value);
            using var scripted = new ScriptedChild("[train]\nenvironment\nexit 0");
            await using var child = ChildProcess.Start(
                new ChildStart { Executable = scripted.Executable, Arguments = ["train", scripted.Folder], Threads = 3 }, NullLogger.Instance, TimeProvider.System);

            string[] names = (await FirstLineAsync(child)).Split(' ');

            Assert.DoesNotContain(names, n => n is "HONE_TOKEN" or "CLOUDFLARE_API_TOKEN" or "DATABASE_URL" or "DOTNET_ConnectionStrings__Main" or "AWS_SECRET_ACCESS_KEY");
            Assert.Subset(names.ToHashSet(), new HashSet<string> { "PATH", "HONE_LIBTORCH", "LC_ALL", "GLIBC_TUNABLES", "OMP_NUM_THREADS", "DOTNET_gcServer", "DOTNET_EnableDiagnostics" });
        }
        finally
        {
            foreach (string name in secrets.Keys.Except(before))
                Environment.SetEnvironmentVariable(name, null);
        }
    }

    [Fact]
    public async Task EndLeftovers_TrainersOfAKilledServer_AreGoneBeforeItReturns()
    {
        using var scripted = new ScriptedChild("[train]\nout up\ndeaf");
        string jobs = Directory.CreateDirectory(Path.Combine(scripted.Folder, "jobs")).FullName;
        await using ChildProcess leftover = scripted.Start("train", Path.Combine(jobs, "some", "7"));
        await using ChildProcess other = scripted.Start("train", Path.Combine(scripted.Folder, "jobs-of-another", "7"));
        await FirstLineAsync(leftover);
        await FirstLineAsync(other);

        await LeftoverProcesses.EndAsync(jobs, TimeSpan.FromMilliseconds(50), NullLogger.Instance, TimeProvider.System, Now);

        Assert.Equal("signal SIGKILL", (await leftover.Exited).ToString());
        Assert.False(leftover.WasKilled);
        Assert.False(other.Exited.IsCompleted);
        Assert.Empty(LeftoverProcesses.Find(jobs));
    }

    private static async Task<List<string>> LinesAsync(ChildProcess child)
    {
        var lines = new List<string>();
        await foreach (ReadOnlyMemory<byte> line in child.ReadLinesAsync(Now))
            lines.Add(Encoding.UTF8.GetString(line.Span));
        return lines;
    }

    private static async Task<string> FirstLineAsync(ChildProcess child)
    {
        await foreach (ReadOnlyMemory<byte> line in child.ReadLinesAsync(Now))
            return Encoding.UTF8.GetString(line.Span);
        throw new InvalidOperationException($"no line; {await child.Exited}: {child.LastErrors()}");
    }
}
