using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json;
using Hone.Formats;
using Hone.Formats.Inference;
using Hone.Formats.Models;
using Hone.Training.Generation;
using Hone.Training.Kernels;
using Hone.Training.Model;
using Hone.Training.Processes;

namespace Hone.Training;

/// <summary><c>hone engine MODEL</c>: one base model in memory, many adapters, answers over a Unix socket until standard input ends.</summary>
public static class EngineCommand
{
    public static async Task<int> RunAsync(string modelPath, string socketPath, int? threads, CancellationToken cancellation)
    {
        ChildLifetime.LeadGroup();
        ChildLifetime.EndWithStandardInput();
        ChildLifetime.YieldToServer(ChildLifetime.EngineNice);
        Cores.BeginLoading();
        var clock = Stopwatch.StartNew();
        try
        {
            using BaseModel model = BaseModel.Open(modelPath);
            Cores.Use(threads ?? Environment.ProcessorCount);
            using Decoder decoder = DecoderLoader.Load(model, asStored: true);
            using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            listener.Bind(new UnixDomainSocketEndPoint(socketPath));
            listener.Listen(128);
            var generator = new Generator(model, decoder);
            using var adapters = new AdapterStore(decoder);
            var server = new EngineServer(generator, adapters);
            Console.Out.WriteLine(JsonSerializer.Serialize(new EngineReady(socketPath, Environment.ProcessId, clock.Elapsed.TotalSeconds), EngineJson.Default.EngineReady));
            await Console.Out.FlushAsync(cancellation).ConfigureAwait(false);
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            Task listen = server.ListenAsync(listener, stop.Token);
            // The model's thread is one thread: libtorch's own threads belong to it.
            Task generate = Task.Factory.StartNew(() => generator.Run(stop.Token), stop.Token, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            Task first = await Task.WhenAny(listen, generate).ConfigureAwait(false);
            await stop.CancelAsync().ConfigureAwait(false);
            // Until its pass is over it reads the weights.
            await generate.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await first.ConfigureAwait(false);
            throw new OperationCanceledException(cancellation);
        }
        catch (Exception e) when (e is InvalidFileException or FileNotFoundException or DirectoryNotFoundException)
        {
            await Console.Error.WriteLineAsync(e.Message).ConfigureAwait(false);
            return 1;
        }
        catch (SocketException e)
        {
            await Console.Error.WriteLineAsync($"--socket {socketPath}: {e.Message}. An engine that was ended leaves its socket: delete it, or name another.").ConfigureAwait(false);
            return 1;
        }
    }
}
