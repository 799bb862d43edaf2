using System.Globalization;
using System.Net;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace Hone.Client;

/// <summary>The API's server-sent events.</summary>
internal sealed partial class HoneClient
{
    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(60);

    /// <summary>
    /// The events after a sequence number, as they happen, until the finetune has ended. A stream that breaks (the server restarts, the network goes) is taken up
    /// where it broke; a server that stays away for a minute ends the watch.
    /// </summary>
    public async IAsyncEnumerable<FinetuneEvent> WatchEventsAsync(string idOrName, long after, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string address = await AddressAsync(Of(idOrName) + "/events", cancellationToken);
        long? cutSince = null;
        while (true)
        {
            await using IAsyncEnumerator<SseItem<string>> items = ReadEventsAsync(HttpMethod.Get, address, null, after, cancellationToken).GetAsyncEnumerator(cancellationToken);
            while (true)
            {
                try
                {
                    if (!await items.MoveNextAsync())
                        break;
                }
                catch (Exception cut) when (IsCut(cut) && _clock.GetElapsedTime(cutSince ??= _clock.GetTimestamp()) < _patience)
                {
                    break;
                }
                cutSince = null;
                // The server's last word: the finetune has ended.
                if (items.Current.EventType == "state")
                    yield break;
                if (items.Current.Data.Length == 0 || ParseEvent(items.Current) is not { } parsed || parsed.Sequence <= after)
                    continue;
                after = parsed.Sequence;
                yield return parsed;
            }
            // A server that goes down ends its streams too.
            await Task.Delay(_firstWait * 4, _clock, cancellationToken);
        }
    }

    /// <summary>The pieces of an answer as they are generated.</summary>
    public async IAsyncEnumerable<string> RunStreamAsync(string model, RunRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string address = await AddressAsync(RunPath(model), cancellationToken);
        RunRequest streamed = request with { Stream = true };
        await foreach (SseItem<string> item in ReadEventsAsync(HttpMethod.Post, address, Json(streamed, HoneJson.Default.RunRequest), null, cancellationToken))
        {
            if (item.Data == "[DONE]")
                yield break;
            using JsonDocument json = JsonDocument.Parse(item.Data);
            if (json.RootElement.TryGetProperty("errors", out JsonElement errors) && errors.Deserialize(HoneJson.Default.IReadOnlyListApiErrorEntry) is { Count: > 0 } entries)
                throw new ApiException(HttpStatusCode.InternalServerError, entries, null);
            if (json.RootElement.TryGetProperty("response", out JsonElement piece) && piece.GetString() is { Length: > 0 } text)
                yield return text;
        }
        throw new CliException("The answer broke off before its end.", "the server's log says more; run it again.");
    }

    private async IAsyncEnumerable<SseItem<string>> ReadEventsAsync(
        HttpMethod method, string address, Func<HttpContent>? content, long? after, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using HttpResponseMessage response = await SendAsync(method, address, content, repeatable: method == HttpMethod.Get, request =>
        {
            request.Headers.Accept.ParseAdd("text/event-stream");
            if (after > 0)
                request.Headers.TryAddWithoutValidation("Last-Event-ID", after.Value.ToString(CultureInfo.InvariantCulture));
        }, cancellationToken);
        await using Stream stream = await response.Content.ReadAsStreamAsync(cancellationToken);
        await foreach (SseItem<string> item in SseParser.Create(stream).EnumerateAsync(cancellationToken))
            yield return item;
    }

    private static FinetuneEvent? ParseEvent(SseItem<string> item)
    {
        FinetuneEvent? parsed = JsonSerializer.Deserialize(item.Data, HoneJson.Default.FinetuneEvent);
        return parsed is { Sequence: 0 } && long.TryParse(item.EventId, NumberStyles.None, CultureInfo.InvariantCulture, out long sequence)
            ? parsed with { Sequence = sequence }
            : parsed;
    }

    private static bool IsCut(Exception exception)
        => exception is IOException or HttpRequestException or CliException { InnerException: HttpRequestException }
            or ApiException { Status: HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable };
}
