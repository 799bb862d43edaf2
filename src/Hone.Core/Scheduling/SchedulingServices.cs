using Hone.Core.Inference;
using Hone.Core.Models;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hone.Core.Scheduling;

public static class SchedulingServices
{
    /// <summary>A worker loop in this process, beside what <see cref="HoneCoreServices.AddHoneCore"/> registers.</summary>
    public static IServiceCollection AddHoneWorker(this IServiceCollection services, WorkerSettings settings)
    {
        services.AddSingleton(settings);
        services.AddHostedService<WorkerLoop>();
        return services;
    }

    /// <summary>The engines that generate text, beside what <see cref="HoneCoreServices.AddHoneCore"/> registers.</summary>
    public static IServiceCollection AddHoneEngines(this IServiceCollection services, EngineSettings settings)
    {
        services.AddSingleton(settings);
        services.AddSingleton(provider =>
        {
            var models = provider.GetRequiredService<ModelCatalog>();
            return new EnginePool(
                async (id, cancellationToken) => (await models.FindAsync(id, cancellationToken))?.Path,
                settings, provider.GetRequiredService<ILogger<EnginePool>>(), provider.GetRequiredService<TimeProvider>(),
                provider.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping);
        });
        return services;
    }
}
