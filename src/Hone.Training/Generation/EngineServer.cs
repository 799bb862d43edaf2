using System.Net.Sockets;
using System.Text.Json;
using Hone.Formats;
using Hone.Formats.Inference;

namespace Hone.Training.Generation;

/// <summary>The engine's end of the Unix socket: a connection a request, lines of JSON both ways.</summary>
internal sealed class EngineServer(Generator generator, AdapterStore adapters)
{
    private const int LongestRequest = 16 << 20;

    public async Task ListenAsync(Socket listener, CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            Socket client = await listener.AcceptAsync(cancellation).ConfigureAwait(false);
            _ = ServeAsync(client, cancellation);
        }
    }

    private async Task ServeAsync(Socket client, CancellationToken cancellation)
    {
        using var stream = new NetworkStream(client, ownsSocket: true);
        using var hangUp = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            if (await ReadLineAsync(stream, hangUp.Token).ConfigureAwait(false) is not { } line)
                return;
            Task watch = WatchAsync(stream, hangUp);
            await foreach (GenerateEvent next in AnswerAsync(line, hangUp.Token).ConfigureAwait(false))
            {
                byte[] bytes = [.. JsonSerializer.SerializeToUtf8Bytes(next, EngineJson.Default.GenerateEvent), (byte)'\n'];
                await stream.WriteAsync(bytes, hangUp.Token).ConfigureAwait(false);
            }
            client.Shutdown(SocketShutdown.Send);
            await watch.ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The client hung up; its stream is abandoned through the token.
        }
        finally
        {
            await hangUp.CancelAsync().ConfigureAwait(false);
        }
    }

    private async IAsyncEnumerable<GenerateEvent> AnswerAsync(ReadOnlyMemory<byte> line, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        GenerationStream? stream = null;
        GenerateEvent.Failed? failure = null;
        try
        {
            GenerateRequest request = JsonSerializer.Deserialize(line.Span, EngineJson.Default.GenerateRequest) ?? throw new JsonException("The request is null.");
            int[] prompt = PromptEncoder.Encode(generator.Model, request, cancellation);
            int context = generator.Model.Config.ContextLength;
            if (prompt.Length >= context)
                failure = new GenerateEvent.Failed("too_long", $"The prompt has {prompt.Length} tokens; the model's context holds {context}. Shorten the prompt.");
            else
                stream = Start(request, prompt, cancellation, out failure);
        }
        catch (JsonException e)
        {
            failure = new GenerateEvent.Failed("bad_input", e.Message);
        }
        catch (PromptException e)
        {
            failure = new GenerateEvent.Failed("bad_input", e.Message);
        }
        catch (Exception e) when (e is InvalidFileException or IOException)
        {
            failure = new GenerateEvent.Failed("bad_adapter", e.Message);
        }
        if (failure is not null)
        {
            yield return failure;
            yield break;
        }
        generator.Add(stream!);
        await foreach (GenerateEvent next in stream!.Events.ReadAllAsync(cancellation).ConfigureAwait(false))
            yield return next;
    }

    private GenerationStream? Start(GenerateRequest request, int[] prompt, CancellationToken cancellation, out GenerateEvent.Failed? failure)
    {
        AdapterUse? use = adapters.Take(request);
        var stream = new GenerationStream(generator.Model, request, prompt, use?.Adapter, cancellation) { AdapterUse = use };
        if (stream.MostCacheBytes <= generator.MaxCacheBytes)
        {
            failure = null;
            return stream;
        }
        failure = new GenerateEvent.Failed("too_long",
            $"Prompt and answer may take {stream.MostTokens} tokens, whose keys and values need {Mebibytes(stream.MostCacheBytes)} MiB; this engine holds {Mebibytes(generator.MaxCacheBytes)} MiB for all answers. Lower max_tokens or shorten the prompt.");
        stream.Dispose();
        return null;

        static long Mebibytes(long bytes) => bytes >> 20;
    }

    /// <summary>Nothing more is expected from the client: whatever ends the reading is a hang-up.</summary>
    private static async Task WatchAsync(NetworkStream stream, CancellationTokenSource hangUp)
    {
        var buffer = new byte[64];
        try
        {
            while (await stream.ReadAsync(buffer, hangUp.Token).ConfigureAwait(false) > 0)
            {
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
        }
        await hangUp.CancelAsync().ConfigureAwait(false);
    }

    private static async Task<byte[]?> ReadLineAsync(NetworkStream stream, CancellationToken cancellation)
    {
        var line = new MemoryStream();
        var buffer = new byte[1 << 16];
        while (line.Length < LongestRequest)
        {
            int read = await stream.ReadAsync(buffer, cancellation).ConfigureAwait(false);
            if (read == 0)
                return null;
            int end = buffer.AsSpan(0, read).IndexOf((byte)'\n');
            line.Write(buffer, 0, end < 0 ? read : end);
            if (end >= 0)
                return line.ToArray();
        }
        return null;
    }
}
