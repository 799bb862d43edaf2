using System.Globalization;
using System.Text;
using System.Text.Json;
using Hone.Client;
using Hone.Core.Processes;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hone.Quickstart;

/// <summary><c>hone serve</c> as a child: it ends when its standard input ends, and so with this process, however that one ends.</summary>
internal sealed class ServerChild : IAsyncDisposable
{
    private static readonly TimeSpan _grace = TimeSpan.FromSeconds(15);

    private readonly ChildProcess _process;

    private ServerChild(ChildProcess process, Connection connection)
    {
        _process = process;
        Connection = connection;
    }

    public Connection Connection { get; }

    /// <summary>Completes when the server is gone.</summary>
    public Task Exited => _process.Exited;

    public string LastErrors => _process.LastErrors();

    /// <summary>Most memory it has held, in MB, since it started or since <see cref="ForgetPeakMemory"/>.</summary>
    public double PeakMemoryMb()
    {
        foreach (string line in File.ReadLines($"/proc/{_process.Id}/status"))
        {
            if (line.StartsWith("VmHWM:", StringComparison.Ordinal))
                return double.Parse(line.AsSpan(6, line.Length - 8).Trim(), CultureInfo.InvariantCulture) * 1024 / 1e6;
        }
        return 0;
    }

    /// <summary>The peak begins anew with what it holds now.</summary>
    public void ForgetPeakMemory() => File.WriteAllText($"/proc/{_process.Id}/clear_refs", "5");

    public static Task<ServerChild> StartAsync(string dataFolder, CancellationToken cancellationToken) => StartAsync(dataFolder, [], cancellationToken);

    /// <param name="options">Of <c>hone serve</c>, beside those that make it a child.</param>
    public static async Task<ServerChild> StartAsync(string dataFolder, IReadOnlyList<string> options, CancellationToken cancellationToken)
    {
        ChildProcess process = ChildProcess.Start(
            new ChildStart { Executable = HoneExecutable.Locate(), Arguments = ["serve", "--listen", "http://127.0.0.1:0", "--data", dataFolder, "--json", "--until-input-ends", .. options] },
            NullLogger.Instance, TimeProvider.System);
        try
        {
            // The first line comes when the server listens: the credentials with its address.
            await foreach (ReadOnlyMemory<byte> line in process.ReadLinesAsync(cancellationToken))
            {
                Credentials credentials = JsonSerializer.Deserialize(line.Span, HoneJson.Default.Credentials)
                    ?? throw new CliException($"The server started with \"{Encoding.UTF8.GetString(line.Span)}\".");
                return new ServerChild(process, new Connection(new Uri(credentials.Url), credentials.AccountId, credentials.Token));
            }
            ChildExit exit = await process.Exited;
            throw new CliException($"The server did not start ({exit}). {process.LastErrors(3)}");
        }
        catch
        {
            await process.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _process.StopAsync(_grace);
        await _process.DisposeAsync();
    }
}
