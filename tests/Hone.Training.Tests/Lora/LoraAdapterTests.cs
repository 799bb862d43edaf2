using Hone.Training.Lora;

namespace Hone.Training.Tests.Lora;

public sealed class LoraAdapterTests
{
    /// <summary>A tensor that nothing holds may be freed by the collector while the library still reads it, which ends the process.</summary>
    [Fact]
    public async Task Bug_ViewsOfParameters_WereMadeOfATensorThatNothingHeld()
    {
        ProjectionShape[] projections = [.. Enumerable.Range(0, 100).Select(i => new ProjectionShape($"p{i}", 8, [new ProjectedModule($"m{i}", 0, 8)]))];
        Dictionary<string, LoraModuleShape> modules = projections.ToDictionary(p => p.Modules[0].Name, _ => new LoraModuleShape(8, 8, 2, 1));
        using var stop = new CancellationTokenSource();
        Task collecting = Task.Run(() =>
        {
            while (!stop.Token.WaitHandle.WaitOne(1))
                GC.Collect(0);
        }, CancellationToken.None);
        for (int i = 0; i < 1500; i++)
        {
            using var adapter = new LoraAdapter(projections, modules, trainable: true);
            Assert.Equal(100 * 32, adapter.Parameters.numel());
        }
        await stop.CancelAsync();
        await collecting;
    }
}
