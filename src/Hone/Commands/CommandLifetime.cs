using Microsoft.Extensions.Hosting;

namespace Hone.Commands;

/// <summary>Signals reach the command alone. If the host heard them as well, what was told to end could look like what ended by itself.</summary>
internal sealed class CommandLifetime : IHostLifetime
{
    public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
