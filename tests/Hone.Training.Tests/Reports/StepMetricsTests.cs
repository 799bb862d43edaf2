using Hone.Training.Reports;
using Hone.Training.Training;

namespace Hone.Training.Tests.Reports;

public sealed class StepMetricsTests
{
    [Fact]
    public void Table_UnmeasuredCells_AreEmpty()
    {
        var progress = new TrainProgress(3, 30, 20, 1.5, [2.123456, 1, 0.5], [new EvaluationPoint(2, 1.25, 0.75)], [], [0.5, 1]);
        Assert.Equal("step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,2.12346,,,\n2,1,0.5,1.25,0.75\n3,0.5,1,,\n", StepMetrics.Table(progress));
    }
}
